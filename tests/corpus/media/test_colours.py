"""Colours of frames match players: by tags of the file, by size without tags, and tone mapped from HDR."""

from pathlib import Path

import av
import numpy as np
import pytest
import yaml
from av.video.reformatter import ColorPrimaries, ColorTrc, Interpolation, VideoReformatter

from corpus.media import read_frames
from corpus.media.pictures.colours import read_colours
from corpus.media.pictures.tone_mapping import map_to_sdr
from corpus.shapes.drawing.video import write_video
from corpus.shapes.params import ShapesParams
from corpus.shapes.scenes import draw_scene
from flat_videos import BT709, BT2020, HLG, P3, PQ, SMPTE170M, Flat, fill_frame, write_flat

TINY = ShapesParams(**yaml.safe_load((Path(__file__).resolve().parents[3] / "presets" / "render" / "tiny.yaml").read_text()))
RED_709, RED_601, RED_601_FULL = (63, 102, 240), (81, 90, 240), (76, 85, 255)
HD, TALL = (1280, 32), (32, 720)
WHITE_203_PQ, WHITE_203_HLG = 573, 721  # of 10 bits, limited range: 58.1 % and 75 % of the signal

RED = {
    "HD with a tag": Flat(RED_709, HD, matrix=BT709),
    "HD without a tag": Flat(RED_709, HD),
    "tall without a tag": Flat(RED_709, TALL),
    "small with a tag of HD": Flat(RED_709, matrix=BT709),
    "small without a tag": Flat(RED_601),
    "HD with a tag of SD": Flat(RED_601, HD, matrix=SMPTE170M),
    "full range": Flat(RED_601_FULL, is_full_range=True),
    "ten bits": Flat((252, 408, 960), HD, "yuv420p10le"),
    "small with a tag of no matrix": Flat(RED_601, matrix=3),
    "HD with a tag of no matrix": Flat(RED_709, HD, matrix=3),
}


@pytest.mark.parametrize("name", RED)
def test_red_stays_red(name: str, tmp_path: Path) -> None:
    path = write_flat(tmp_path / "red.mkv", RED[name])
    np.testing.assert_allclose(read_frames(path, np.zeros(1), 16)[0, 8, 8], (254, 0, 0), atol=3)


WHITE = {
    "PQ": Flat((WHITE_203_PQ, 512, 512), pixels="yuv420p10le", matrix=BT2020, transfer=PQ, primaries=BT2020),
    "PQ without other tags": Flat((WHITE_203_PQ, 512, 512), pixels="yuv420p10le", transfer=PQ),
    "HLG": Flat((WHITE_203_HLG, 512, 512), pixels="yuv420p10le", matrix=BT2020, transfer=HLG, primaries=BT2020),
    "wide SDR": Flat((940, 512, 512), pixels="yuv420p10le", matrix=BT2020, primaries=BT2020),
}


@pytest.mark.parametrize("name", WHITE)
def test_the_reference_white_of_hdr_is_white(name: str, tmp_path: Path) -> None:
    path = write_flat(tmp_path / "white.mkv", WHITE[name], codec="libx265")
    white = read_frames(path, np.zeros(1), 16)[0, 8, 8]
    assert white.min() >= 246
    assert np.ptp(white) <= 1


def compute_pq(nits: np.ndarray) -> np.ndarray:
    """Return the PQ signal of 0 to 1 of light, by the inverse EOTF of BT.2100-2, table 4."""
    powers = (nits / 10_000) ** (2610 / 16384)
    return ((3424 / 4096 + 2413 / 128 * powers) / (1 + 2392 / 128 * powers)) ** (2523 / 32)


def map_pq(rgb_nits: np.ndarray, primaries: ColorPrimaries) -> np.ndarray:
    codes = np.rint(65535 * compute_pq(rgb_nits)).astype(np.uint16)
    return map_to_sdr(codes.reshape(1, -1, 3), ColorTrc.SMPTE2084, primaries)[0].astype(int)


def test_light_below_the_knee_is_that_of_an_sdr_display() -> None:
    nits = np.array([0.05, 1, 10, 50, 100, 180])
    shown = map_pq(nits[:, None].repeat(3, axis=1), ColorPrimaries.BT709)
    np.testing.assert_allclose(203 * (shown / 255) ** 2.4, nits[:, None].repeat(3, axis=1), rtol=0.02, atol=0.05)


def test_brighter_light_is_never_darker_and_ends_at_white() -> None:
    shown = map_pq(np.geomspace(0.01, 10_000, 500)[:, None].repeat(3, axis=1), ColorPrimaries.BT2020)
    assert (np.diff(shown[:, 0]) >= 0).all()
    assert (shown[-1] == 255).all()
    assert len(set(shown[:, 0])) > 150


def test_a_colour_of_bt709_stays_itself_through_bt2020_and_keeps_its_hue_when_it_is_bright() -> None:
    from_709 = np.array([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]])  # BT.2087-0
    orange = np.array([1.0, 0.3, 0.05])
    dim, bright = map_pq((from_709 @ orange) * np.array([[100.0], [800.0]]), ColorPrimaries.BT2020)
    np.testing.assert_allclose((dim / 255) ** 2.4 * 203, 100 * orange, atol=1.5)
    np.testing.assert_allclose((bright / bright.max()) ** 2.4, orange, atol=0.02)
    assert bright.max() >= 254


def test_hlg_follows_its_system_gamma() -> None:
    scene = np.array([1 / 12, 0.265, 1.0])  # signals of 50 %, 75 % and 100 %
    codes = np.rint(65535 * np.array([0.5, 0.75, 1.0])).astype(np.uint16)[None, :, None].repeat(3, axis=2)
    shown = map_to_sdr(codes, ColorTrc.ARIB_STD_B67, ColorPrimaries.BT2020)[0, :, 0] / 255
    nits = 1000 * scene**1.2
    assert 203 * shown[0] ** 2.4 == pytest.approx(nits[0], rel=0.02)
    assert 1 > shown[1] > 0.96  # 203 cd/m2
    assert shown[2] == 1


def test_unknown_tags_count_as_none() -> None:
    frame = fill_frame(Flat(RED_601, matrix=14, transfer=99, primaries=99))
    frame.color_range = 3
    colours = read_colours(frame)
    assert colours.is_sdr_709
    assert colours == read_colours(fill_frame(Flat(RED_601, matrix=3)))._replace(range=colours.range)


def test_p3_primaries_are_brought_to_bt709() -> None:
    colours = read_colours(fill_frame(Flat(RED_709, HD, matrix=BT709, primaries=P3)))
    assert (colours.primaries, colours.is_sdr_709) == (ColorPrimaries.SMPTE432, False)


@pytest.mark.parametrize("size_px", [32, 96, 112])
def test_frames_of_the_drawn_corpus_are_those_of_plain_scaling(size_px: int, tmp_path: Path) -> None:
    path = write_video(draw_scene(TINY, seed=1, split="train", number=0), tmp_path, TINY)
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))[:20]
    scaler = VideoReformatter()
    expected = np.stack(
        [
            scaler.reformat(one, size_px, size_px, "rgb24", interpolation=Interpolation.FAST_BILINEAR, threads=1).to_ndarray()
            for one in frames
        ]
    )
    times_s = np.array([one.time for one in frames])
    assert read_frames(path, times_s, size_px).tobytes() == expected.tobytes()
