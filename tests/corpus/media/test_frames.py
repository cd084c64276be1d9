"""Frames at given times: right for any file and search method."""

import os
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from corpus.media import Seconds, UndecodableError, probe, read_frames
from corpus.media.pictures import displayed
from corpus.media.pictures.display_order import DisplayOrder
from corpus.media.pictures.displayed import iter_displayed
from frame_files import B_FRAMES, EDITS, EVERY_100_MS, FILES, VP9


def find_displayed(starts: Sequence[tuple[float, int]], time_s: float) -> int:
    """Slow reference: the last frame that starts at or before the time, the first one before that."""
    return max(((start_s, number) for start_s, number in starts if start_s <= time_s + 1e-9), default=starts[0])[1]


def list_starts(starts_ms: Sequence[int]) -> list[tuple[float, int]]:
    return [(start_ms / 1000, number) for number, start_ms in enumerate(starts_ms)]


def draw_times(seed: str, end_s: float, starts: Sequence[tuple[float, int]], count: int = 60) -> Seconds:
    """Return random times, and the starts of all frames, at which the new frame is on display."""
    generator = random.Random(seed)
    return np.array([generator.uniform(0, end_s) for _ in range(count)] + [start_s for start_s, _ in starts])


def list_expected_starts(name: str) -> list[tuple[float, int]]:
    starts = list_starts(FILES[name].get("starts_ms", EVERY_100_MS))
    if name == "fragments.mp4":  # no edit list corrects the display delay of two frames
        starts = [(start_s + 0.2, number) for start_s, number in starts]
    if name.endswith((".flv", ".ts")):  # browsers do not play these: time 0 is the start of the earliest stream
        starts = [(start_s - starts[0][0], number) for start_s, number in starts]
    return starts


def test_writing_av1_leaves_the_priority_of_the_tests_alone(clips: Any) -> None:
    before = os.sched_getscheduler(0)
    clips.write("av1.mp4", **FILES["av1.mp4"])
    assert os.sched_getscheduler(0) == before


@pytest.mark.parametrize("name", FILES)
def test_the_frame_on_display_comes_back(clips: Any, name: str) -> None:
    path, starts = clips.write(name, **FILES[name]), list_expected_starts(name)
    times_s = draw_times(name, 4.2, starts)
    assert clips.read(read_frames(path, times_s, 64)) == [find_displayed(starts, time_s) for time_s in times_s]


@pytest.mark.parametrize("name", EDITS)
@pytest.mark.parametrize("max_b_frames", ["0", "3"])
def test_edit_lists_are_followed(clips: Any, name: str, max_b_frames: str) -> None:
    edits, starts = EDITS[name]
    path = clips.write(options={"bf": max_b_frames, "g": "10"})
    clips.set_edits(path, edits)
    times_s = draw_times(name, 4.5, starts)
    assert clips.read(read_frames(path, times_s, 64)) == [find_displayed(starts, time_s) for time_s in times_s]


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("step_s", [0.03, 0.5, 1.7])
@pytest.mark.slow
def test_skipping_frames_in_decoding_changes_no_pixel(clips: Any, name: str, step_s: float) -> None:
    path = clips.write(name, **FILES[name])
    require_same_frames(path, np.arange(0, 4.1, step_s))


def require_same_frames(path: Path, times_s: Seconds) -> None:
    """Require the frames of a full decoding, for one and two threads."""
    expected = [(one.first, one.end, hash_frame(one.frame)) for one in displayed._iter_all(path, times_s, 1, 0)]
    for num_threads in (1, 2):
        found = [(one.first, one.end, hash_frame(one.frame)) for one in iter_displayed(path, times_s, num_threads=num_threads)]
        assert found == expected


def hash_frame(frame: Any) -> int:
    return hash(frame.to_ndarray().tobytes())


@pytest.mark.parametrize("name", EDITS)
@pytest.mark.parametrize("step_s", [0.03, 1.7])
def test_edit_lists_are_followed_the_same_with_and_without_seeking(clips: Any, name: str, step_s: float) -> None:
    path = clips.write(**B_FRAMES)
    clips.set_edits(path, EDITS[name][0])
    require_same_frames(path, np.arange(0, 4.1, step_s))


LONG = {
    "long.mp4": {"options": {"bf": "3", "g": "20"}},
    "long.mkv": {"options": {"bf": "3", "g": "20"}},
    "long_open.mkv": {"options": {"bf": "3", "g": "20", "x264-params": "open-gop=1"}},
    "long_refresh.mkv": {"options": {"bf": "0", "g": "20", "intra-refresh": "1"}},
    "long.webm": VP9,
    "long_hevc.mp4": {"codec": "libx265", "options": {"x265-params": "log-level=none:keyint=20:bframes=3"}},
    "long_mpeg4.mp4": {"codec": "mpeg4", "options": {"bf": "2", "g": "12"}},
    "long_late.mp4": {"starts_ms": range(9000, 34000, 100), "options": {"bf": "3", "g": "20"}, "sound_s": 34.0},
}


@pytest.mark.parametrize("name", LONG)
def test_seeking_changes_no_frame(clips: Any, name: str) -> None:
    path = clips.write(name, **{"starts_ms": range(0, 25000, 100), **LONG[name]})
    generator = np.random.default_rng(3)
    for count in (1, 3, 8):
        require_same_frames(path, np.sort(generator.uniform(0, 26, count)))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["long.mp4", "long.mkv"])
def test_pictures_of_a_long_video_read_a_fraction_of_its_packets(clips: Any, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = clips.write(name, starts_ms=range(0, 200_000, 100), options={"bf": "3", "g": "20"})
    packets: list[object] = []
    add = DisplayOrder.add
    monkeypatch.setattr(DisplayOrder, "add", lambda self, packet: (packets.append(packet), add(self, packet))[1])
    times_s = np.array([30.05, 100.05, 199.95])
    assert clips.read(read_frames(path, times_s, 64)) == [(round(10 * time_s - 0.5)) % 256 for time_s in times_s]
    assert len(packets) < 300


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_frames_come_out_upright(clips: Any, rotation: int) -> None:
    path = clips.write("turned.mp4", rotation=rotation)
    assert clips.read(read_frames(path, np.array([0.5, 2.3]), 64)) == [5, 23]
    info = probe(path)
    assert (info.width, info.height, info.rotation) == (64, 48, rotation)


@pytest.mark.parametrize(
    ("matrix", "turn"),
    [
        ((-1, 0, 0, 1), lambda image: image[:, :, ::-1]),
        ((1, 0, 0, -1), lambda image: image[:, ::-1]),
        ((0, 1, 1, 0), lambda image: image.swapaxes(1, 2)),
        ((0, -1, -1, 0), lambda image: image.swapaxes(1, 2)[:, ::-1, ::-1]),
        ((0, 1, -1, 0), lambda image: np.rot90(image, -1, axes=(1, 2))),
    ],
)
def test_mirrored_and_turned_frames_are_shown_as_their_matrix_says(clips: Any, matrix: Any, turn: Any) -> None:
    times_s = np.array([0.1, 2.5])
    expected = turn(read_frames(clips.write("plain.mp4"), times_s, 48))
    path = clips.write("turned.mp4")
    clips.set_matrix(path, matrix)
    np.testing.assert_array_equal(read_frames(path, times_s, 48), expected)


def test_of_frames_that_start_together_the_first_one_is_shown(clips: Any) -> None:
    starts_ms = [0, 100, 200, 200, 300, 300, 300, 400, 500]
    path = clips.write("double.mkv", starts_ms=starts_ms, options={"bf": "0"})
    assert clips.read(read_frames(path, np.array([0.05, 0.25, 0.35, 0.45, 0.6]), 64)) == [0, 2, 4, 7, 8]


def test_times_may_come_in_any_order_and_more_than_once(clips: Any) -> None:
    path = clips.write()
    assert clips.read(read_frames(path, np.array([3.0, 0.5, 3.0, 1.25]), 64)) == [30, 5, 30, 12]


def test_times_outside_the_video_see_its_first_and_last_frame(clips: Any) -> None:
    assert clips.read(read_frames(clips.write(), np.array([-1.0, 99.0]), 64)) == [0, 39]


def test_no_times_give_no_frames(clips: Any) -> None:
    assert read_frames(clips.write(), np.array([]), 16).shape == (0, 16, 16, 3)


def test_black_is_black_and_white_is_white(clips: Any) -> None:
    path = clips.write("exact.mkv", codec="ffv1")
    (image,) = read_frames(path, np.array([1.5]), 64)  # number 15: a row of zeros, a row of ones
    assert image[16, 8].max() <= 2
    assert image[48, 56].min() >= 253


def test_a_damaged_frame_leaves_the_one_before_it_on_display(clips: Any) -> None:
    path = clips.write("damaged.mkv", codec="ffv1", pix_fmt="yuv444p", options={"slicecrc": "1"})
    require_same_frames(path, np.arange(0, 4.1, 0.07))
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 40] = bytes(40)
    path.write_bytes(content)
    try:
        require_same_frames(path, np.arange(0, 4.1, 0.07))
    except UndecodableError as error:
        assert "cannot be decoded" in error.reason  # noqa: PT017 # an error or the previous frame is fine, another picture is not
