"""Drawn videos: file format, pictures and sound."""

from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
import yaml
from numpy.typing import NDArray

from corpus.files import sha256_file
from corpus.shapes.drawing.background import FAMILIES, build_texture, shift_texture
from corpus.shapes.drawing.draw import draw_frames
from corpus.shapes.drawing.palette import ALL_COLORS, COLORS, SHAPES, build_outline
from corpus.shapes.drawing.sound import TONES, build_sound
from corpus.shapes.drawing.video import write_video
from corpus.shapes.params import ShapesParams
from corpus.shapes.scene import Actor, Background, Event, Kind, Scene
from corpus.shapes.scenes import draw_scene

TINY = ShapesParams(**yaml.safe_load((Path(__file__).resolve().parents[2] / "presets" / "render" / "tiny.yaml").read_text()))
START, END, RATE_HZ = 20, 40, 16000
SHIFTS = {
    Kind.MOVE_LEFT: (-0.3, 0.0),
    Kind.MOVE_RIGHT: (0.3, 0.0),
    Kind.MOVE_UP: (0.0, -0.3),
    Kind.MOVE_DOWN: (0.0, 0.3),
    Kind.ENTER: (-0.65, 0.0),
    Kind.LEAVE: (0.0, 0.65),
    Kind.COLLIDE: (0.2, 0.0),
}


def make_scene(kind: Kind) -> Scene:
    patient = 1 if kind is Kind.COLLIDE else None
    event = Event(kind, 0, START, END, SHIFTS.get(kind, (0.0, 0.0)), patient)
    actors = (Actor("red", "star"), Actor("blue", "square", 0.88, 0.5))
    return Scene("hand", "train", 10, 60, actors, (event,), Background("plain", 1))


def measure_change(frames: list[NDArray[np.uint8]], first: int, end: int) -> float:
    """Return the mean absolute difference of neighbouring frames over [first, end)."""
    pairs = [(frames[index].astype(int), frames[index + 1].astype(int)) for index in range(first, end - 1)]
    return float(np.mean([np.abs(later - earlier).mean() for earlier, later in pairs]))


@pytest.mark.parametrize("kind", list(Kind))
def test_a_scene_changes_during_its_event_and_only_then(kind: Kind) -> None:
    frames = list(draw_frames(make_scene(kind), 96))
    assert measure_change(frames, 0, START) == 0
    assert measure_change(frames, START, END) > 0.05
    assert measure_change(frames, END, 60) == 0


@pytest.mark.parametrize("kind", list(Kind))
def test_every_kind_has_a_tone_of_its_own_during_the_event(kind: Kind) -> None:
    sound = build_sound(make_scene(kind), RATE_HZ)
    assert len(sound) == 6 * RATE_HZ
    assert not sound[: 2 * RATE_HZ].any()
    assert np.sqrt(np.mean(sound[2 * RATE_HZ : 4 * RATE_HZ] ** 2)) > 0.02
    assert not sound[4 * RATE_HZ :].any()
    assert sum(tone == TONES[kind] for tone in TONES.values()) == 1


def test_an_actor_is_drawn_in_its_color_at_its_place() -> None:
    actors = (Actor("red", "circle", 0.25, 0.5), Actor("white", "square", 0.75, 0.25))
    frame = next(draw_frames(replace(make_scene(Kind.SPIN), actors=actors), 96))
    assert tuple(frame[48, 24]) == COLORS["red"]
    assert tuple(frame[24, 72]) == COLORS["white"]


@pytest.mark.parametrize("shape", SHAPES)
def test_outlines_are_about_equally_large(shape: str) -> None:
    outline = build_outline(shape)
    assert 0.8 <= np.abs(outline).max() <= 1.3
    x, y = outline.T
    area = 0.5 * abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1)))
    assert 1.4 <= area <= 3.0


def test_an_unknown_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="no shape 'blob'; known: circle, square"):
        build_outline("blob")


@pytest.mark.parametrize("family", FAMILIES)
def test_backgrounds_stay_muted_and_continue_at_their_edges(family: str) -> None:
    drifting = Background(family, 7, (0.1, -0.07))
    texture = build_texture(drifting, 96)
    assert texture.max() < 180
    assert np.ptp(texture.astype(int), axis=(0, 1)).max() <= 52
    assert (np.abs(shift_texture(texture, drifting, 10.0).astype(int).mean() - texture.mean()) < 2).all()


def test_colors_can_be_told_apart() -> None:
    values = np.array(list(ALL_COLORS.values()))
    distance = np.abs(values[:, None] - values[None]).sum(axis=-1) + 1000 * np.eye(len(values))
    assert distance.min() > 80


def test_a_file_holds_h264_and_aac_of_the_exact_duration_with_the_index_in_front(tmp_path: Path) -> None:
    scene = draw_scene(TINY, seed=1, split="train", number=0)
    path = write_video(scene, tmp_path, TINY)
    with av.open(str(path)) as container:
        video, audio = container.streams.video[0], container.streams.audio[0]
        assert (video.codec_context.name, video.pix_fmt, audio.codec_context.name) == ("h264", "yuv420p", "aac")
        assert (video.width, video.height, video.frames, audio.channels) == (96, 96, scene.num_frames, 1)
        assert float(video.duration * video.time_base) == pytest.approx(scene.duration_s)
        assert float(audio.duration * audio.time_base) == pytest.approx(scene.duration_s, abs=0.07)
        keyframes = [float(packet.pts * packet.time_base) for packet in container.demux(video) if packet.is_keyframe]
    assert np.diff(keyframes).max() <= 2.0
    content = path.read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")


def test_the_file_shows_the_drawn_frames(tmp_path: Path) -> None:
    scene = draw_scene(TINY, seed=1, split="train", number=1)
    drawn = list(draw_frames(scene, 96))
    with av.open(str(write_video(scene, tmp_path, TINY))) as container:
        for index, frame in enumerate(container.decode(video=0)):
            difference = np.abs(frame.to_ndarray(format="rgb24").astype(int) - drawn[index])
            assert difference.mean() < 8, index


@pytest.mark.slow
def test_bytes_do_not_depend_on_earlier_encodings(tmp_path: Path) -> None:
    scenes = [draw_scene(TINY, seed=2, split="train", number=number) for number in range(6)]
    forwards = {scene.video_id: sha256_file(write_video(scene, tmp_path / "a", TINY)) for scene in scenes}
    backwards = {scene.video_id: sha256_file(write_video(scene, tmp_path / "b", TINY)) for scene in scenes[::-1]}
    assert forwards == backwards
