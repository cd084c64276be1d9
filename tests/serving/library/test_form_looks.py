"""Playable forms look like their source in players: colours, brightness of HDR, proportions. All are tagged as BT.709."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from corpus.media import probe, read_frames
from flat_videos import BT709, BT2020, HLG, PQ, SMPTE170M, Flat, write_flat
from serving.library.playable import Form, find_form, write_playable

RED_709, RED_601 = (63, 102, 240), (81, 90, 240)
WHITE_203_PQ, WHITE_203_HLG = (573, 512, 512), (721, 512, 512)  # of 10 bits
HD = (1280, 720)
ENCODED = Form("encoded", "video/mp4")

COLOURS: dict[str, tuple[Flat, str, tuple[int, int, int]]] = {  # what is stored, its codec, what is shown
    "HD without a tag": (Flat(RED_709, HD), "mpeg4", (254, 0, 0)),
    "HD with a tag": (Flat(RED_709, HD, matrix=BT709), "libx265", (254, 0, 0)),
    "SD without a tag": (Flat(RED_601), "mpeg4", (254, 0, 0)),
    "SD with a tag": (Flat(RED_601, matrix=SMPTE170M), "libx265", (254, 0, 0)),
    "full range": (Flat((76, 85, 255), pixels="yuvj420p", is_full_range=True), "mjpeg", (254, 0, 0)),
    "RGB": (Flat((0, 0, 255), pixels="gbrp", matrix=0), "libvpx-vp9", (255, 0, 0)),  # planes in the order of G, B, R
    "4:4:4": (Flat(RED_601, pixels="yuv444p"), "libx264", (254, 0, 0)),
    "PQ": (Flat(WHITE_203_PQ, HD, "yuv420p10le", BT2020, PQ, BT2020), "libx265", (249, 249, 249)),
    "HLG": (Flat(WHITE_203_HLG, HD, "yuv420p10le", BT2020, HLG, BT2020), "libx265", (250, 250, 250)),
    "wide SDR": (Flat((940, 512, 512), HD, "yuv420p10le", BT2020, 14, BT2020), "libx265", (255, 255, 255)),
}


def read_tags(path: Path) -> tuple[int, int, int, int]:
    with av.open(str(path)) as container:
        context = container.streams.video[0].codec_context
        return context.colorspace, context.color_trc, context.color_primaries, context.color_range


def convert(path: Path) -> Path:
    target = path.with_suffix(".form.mp4")
    write_playable(path, target, find_form(path), report=lambda _: None)
    assert find_form(target).how == "as_is"
    return target


@pytest.mark.parametrize("name", COLOURS)
def test_a_form_has_the_colours_of_its_source_and_tags_them(name: str, tmp_path: Path) -> None:
    flat, codec, shown = COLOURS[name]
    path = write_flat(tmp_path / "video.mkv", flat, codec=codec, num_frames=3)
    assert find_form(path) == ENCODED
    form = convert(path)
    assert read_tags(form) == (1, 1, 1, 1)
    np.testing.assert_allclose(read_frames(form, np.zeros(1), 16)[0, 8, 8], shown, atol=3)
    np.testing.assert_allclose(read_frames(path, np.zeros(1), 16)[0, 8, 8], shown, atol=3)


@pytest.mark.parametrize(
    ("aspect", "size"),
    [(Fraction(64, 45), (136, 96)), (Fraction(4), (384, 96)), (Fraction(45, 64), (96, 136)), (Fraction(20), (96, 96))],
    ids=str,
)
@pytest.mark.parametrize(("name", "codec"), [("a.avi", "mpeg4"), ("a.mkv", "libx264"), ("a.ts", "mpeg2video")])
def test_pixels_become_square(aspect: Fraction, size: tuple[int, int], name: str, codec: str, tmp_path: Path) -> None:
    if codec == "mpeg2video" and aspect not in (Fraction(64, 45), Fraction(45, 64)):
        pytest.skip("MPEG-2 knows a few aspects only")
    path = write_flat(tmp_path / name, Flat(RED_601, (96, 96)), codec=codec, aspect=aspect)
    info = probe(convert(path))
    if codec == "mpeg2video":  # the nearest aspect that it supports
        assert (info.width > info.height) == (size[0] > size[1])
    else:
        assert (info.width, info.height) == size


def test_a_file_that_browsers_stretch_themselves_is_served_unchanged(tmp_path: Path) -> None:
    path = write_flat(tmp_path / "a.mp4", Flat(RED_601, (96, 96)), aspect=Fraction(4))
    assert find_form(path).how == "as_is"


def test_hdr_that_browsers_could_decode_is_encoded(tmp_path: Path) -> None:
    flat = Flat((143, 128, 128), matrix=BT2020, transfer=PQ, primaries=BT2020)
    path = write_flat(tmp_path / "a.mp4", flat)
    assert find_form(path) == ENCODED
    assert read_frames(convert(path), np.zeros(1), 16).min() > 235


@pytest.mark.parametrize("turn", [90, 180, 270])
def test_turned_hdr_is_upright_and_bright(turn: int, tmp_path: Path) -> None:
    path = tmp_path / "a.mov"
    with av.open(str(path), "w") as output:
        stream: Any = output.add_stream("libx265", rate=10, options={"x265-params": "log-level=none"})
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p10le"
        context = stream.codec_context
        context.colorspace, context.color_trc, context.color_primaries = BT2020, PQ, BT2020
        stream.set_display_rotation(turn)
        for number in range(3):
            frame = av.VideoFrame(96, 64, "yuv420p10le")
            levels = np.where(np.arange(96) < 48, 573, 64).astype(np.uint16)  # the left half is white
            luma = np.zeros((64, frame.planes[0].line_size // 2), np.uint16)
            luma[:, :96] = levels
            frame.planes[0].update(luma.tobytes())
            for plane in frame.planes[1:]:
                plane.update(np.full(plane.buffer_size // 2, 512, np.uint16).tobytes())
            frame.pts = number
            output.mux(stream.encode(frame))
        output.mux(stream.encode())
    form = convert(path)
    assert (probe(form).width, probe(form).height) == ((96, 64) if turn == 180 else (64, 96))
    for one in (form, path):
        image = read_frames(one, np.zeros(1), 32)[0, :, :, 0]
        bright = {90: image[20:], 180: image[:, 20:], 270: image[:12]}[turn]
        assert bright.min() > 235
        assert image.min() < 20


@pytest.mark.parametrize("layout", ["stereo", "5.1", "7.1"])
def test_surround_is_mixed_down_and_is_not_lost(layout: str, tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as output:
        stream: Any = output.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        sound: Any = output.add_stream("pcm_s16le", rate=48000, layout=layout)
        for number in range(10):
            frame = av.VideoFrame(64, 48, "yuv420p")
            frame.pts = number
            output.mux(stream.encode(frame))
            samples = np.full((1, 4800 * av.AudioLayout(layout).nb_channels), 8000, np.int16)
            heard = av.AudioFrame.from_ndarray(samples, format="s16", layout=layout)
            heard.sample_rate, heard.pts = 48000, 4800 * number
            output.mux(sound.encode(heard))
        output.mux([*stream.encode(), *sound.encode()])
    with av.open(str(convert(path))) as container:
        values = np.concatenate([one.to_ndarray()[0] for one in container.decode(audio=0)])
    assert np.abs(values[10000:30000]).mean() > 0.1
