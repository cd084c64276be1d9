"""Frames at given times: right for any file and search method, and equal to those of a browser."""

import os
import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from corpus.media import Images, Seconds, UndecodableError, probe, read_frames
from corpus.media.pictures import displayed
from corpus.media.pictures.display_order import DisplayOrder
from corpus.media.pictures.displayed import iter_displayed

EVERY_100_MS = list(range(0, 4000, 100))
UNEVEN_MS = [0, 40, 250, 260, 300, 900, 910, 1500, 1533, 1567, 2400, 2401, 2500, 3000]
LATE_MS = list(range(700, 3000, 100))
VP8 = {"codec": "libvpx", "options": {"deadline": "realtime", "cpu-used": "8", "g": "12"}}
VP9 = {"codec": "libvpx-vp9", "options": {"deadline": "realtime", "cpu-used": "8", "g": "12"}}
B_FRAMES = {"options": {"bf": "3", "g": "12"}}
FFV1 = {"codec": "ffv1"}

# name -> writer; every frame n starts at starts_ms[n]
FILES: dict[str, dict[str, Any]] = {
    "plain.mp4": {"options": {"bf": "0"}},
    "b_frames.mp4": B_FRAMES,
    "b_pyramid.mp4": {"options": {"bf": "8", "g": "30", "b-pyramid": "normal", "refs": "5"}},
    "b_frames.mkv": B_FRAMES,
    "open_gop.mkv": {"options": {"bf": "3", "g": "6", "x264-params": "open-gop=1"}},
    "open_gop.mp4": {"options": {"bf": "3", "g": "6", "x264-params": "open-gop=1"}},
    "intra_refresh.mp4": {"options": {"bf": "0", "g": "10", "intra-refresh": "1"}},
    "one_key.mp4": {"options": {"bf": "3", "g": "400"}},
    "only_keys.mp4": {"options": {"g": "1"}},
    "sliced.mp4": {"options": {"bf": "2", "slices": "3"}, "size": (64, 96)},
    "interlaced.mkv": {"options": {"bf": "2", "flags": "+ilme+ildct"}},
    "fragments.mp4": B_FRAMES | {"muxer": {"movflags": "frag_keyframe+empty_moov+default_base_moof"}},
    "index_first.mp4": B_FRAMES | {"muxer": {"movflags": "+faststart"}},
    "negative_offsets.mp4": B_FRAMES | {"muxer": {"movflags": "negative_cts_offsets"}},
    "sound.mp4": B_FRAMES | {"sound_s": 4.0},
    "more_sound.mp4": {"sound_s": 6.0},
    "mov.mov": B_FRAMES,
    "hevc.mp4": {"codec": "libx265", "options": {"x265-params": "log-level=none:keyint=12:bframes=3"}},
    "hevc.mkv": {"codec": "libx265", "options": {"x265-params": "log-level=none:keyint=12:bframes=3"}},
    "vp8.webm": VP8,
    "vp9.webm": VP9,
    "vp9_sound.webm": VP9 | {"sound_s": 4.0, "sound_codec": "libopus"},
    "av1.mp4": {"codec": "libsvtav1", "options": {"preset": "8", "crf": "1", "svtav1-params": "lp=1"}, "size": (256, 192)},
    "mpeg4.avi": {"codec": "mpeg4", "options": {"bf": "0", "g": "4"}},
    "mpeg4_b.avi": {"codec": "mpeg4", "options": {"bf": "2", "g": "12"}},
    "mpeg4_b.mp4": {"codec": "mpeg4", "options": {"bf": "2", "g": "12"}},
    "h264.avi": {"options": {"bf": "0"}},
    "mjpeg.avi": {"codec": "mjpeg", "pix_fmt": "yuvj420p"},
    "mpeg2.mkv": {"codec": "mpeg2video", "options": {"bf": "2", "g": "12"}},
    "h264.ts": B_FRAMES,
    "h264.flv": B_FRAMES,
    "odd_size.mkv": FFV1 | {"pix_fmt": "yuv444p", "size": (67, 51)},
    "odd_size.mp4": {"pix_fmt": "yuv444p", "size": (67, 51), "options": {"bf": "3"}},
    "ten_bit.mkv": FFV1 | {"pix_fmt": "yuv420p10le"},
    "gray.mkv": FFV1 | {"pix_fmt": "gray"},
    "uneven.mp4": {"starts_ms": UNEVEN_MS, "options": {"bf": "0"}},
    "uneven_b.mp4": {"starts_ms": UNEVEN_MS, "options": {"bf": "3"}},
    "uneven_b.mkv": {"starts_ms": UNEVEN_MS, "options": {"bf": "3"}},
    "uneven.webm": VP9 | {"starts_ms": UNEVEN_MS},
    "late.mp4": {"starts_ms": LATE_MS, "options": {"bf": "0"}},
    "late_b.mp4": {"starts_ms": LATE_MS} | B_FRAMES,
    "late_with_sound.mp4": {"starts_ms": LATE_MS, "sound_s": 3.0},
    "late.mkv": {"starts_ms": LATE_MS},
    "late.webm": VP8 | {"starts_ms": LATE_MS},
    "late_with_sound.webm": VP9 | {"starts_ms": LATE_MS, "sound_s": 3.0, "sound_codec": "libopus"},
}
# Edit lists of a video of 4 s with a frame every 100 ms: (duration, start in the media or None) -> shown frames
EDITS: dict[str, tuple[list[tuple[float, float | None]], list[tuple[float, int]]]] = {
    "trimmed": ([(2.7, 1.3)], [(0.1 * place, 13 + place) for place in range(27)]),
    # FFmpeg, and therefore Chromium, moves the first whole frame to the start
    "trimmed_between_frames": ([(2.65, 1.35)], [(0.1 * place, 14 + place) for place in range(26)]),
    "delayed": ([(0.7, None), (4.0, 0.0)], [(0.7 + 0.1 * place, place) for place in range(40)]),
    "cut_in_the_middle": (
        [(1.0, 1.0), (1.0, 3.0)],
        [(0.1 * place, 10 + place) for place in range(10)] + [(1 + 0.1 * place, 30 + place) for place in range(10)],
    ),
    "swapped": (
        [(1.0, 2.0), (1.0, 0.0)],
        [(0.1 * place, 20 + place) for place in range(10)] + [(1 + 0.1 * place, place) for place in range(10)],
    ),
}  # fmt: skip


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


# Uneven rates are left out: Chromium estimates the duration of frames and is off by one there.
SHOWN = (
    *("plain.mp4", "b_frames.mp4", "b_frames.mkv", "negative_offsets.mp4", "more_sound.mp4", "mov.mov", "vp9_sound.webm"),
    *("late.mp4", "late_b.mp4", "late_with_sound.mp4", "late.mkv", "late.webm", "late_with_sound.webm"),
)
READ_IN_BROWSER = """async ([url, times, size]) => {
  const video = document.createElement("video");
  const wait = (event) => new Promise((resolve, reject) => {
    video.addEventListener(event, resolve, {once: true});
    video.addEventListener("error", reject, {once: true});
    setTimeout(reject, 5000);
  });
  video.muted = true; video.preload = "auto";
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = size;
  const context = canvas.getContext("2d", {willReadFrequently: true});
  const images = [];
  try {
    const opened = wait("loadeddata"); video.src = url; await opened;
    for (const time of times) {
      const sought = wait("seeked"); video.currentTime = time; await sought;
      await new Promise((resolve) => { video.requestVideoFrameCallback(resolve); setTimeout(resolve, 200); });
      context.drawImage(video, 0, 0, size, size);
      images.push(Array.from(context.getImageData(0, 0, size, size).data));
    }
  } catch { return null; } finally { video.removeAttribute("src"); video.load(); }
  return images;
}"""


@pytest.fixture
def show(tmp_path: Path, browser: Any) -> Iterator[Callable[[Path, list[float]], Images | None]]:
    """Return the frames that Chromium shows at given `currentTime`s, (T, 64, 64, 3), or None for an unplayable file."""
    (tmp_path / "page.html").write_text("<body></body>")
    page = browser.new_page()
    page.goto((tmp_path / "page.html").as_uri())

    def read(path: Path, times_s: list[float]) -> Images | None:
        images = page.evaluate(READ_IN_BROWSER, [path.as_uri(), times_s, 64])
        return None if images is None else np.array(images, np.uint8).reshape(-1, 64, 64, 4)[..., :3]

    yield read
    page.close()


@pytest.mark.slow
@pytest.mark.browser
def test_a_browser_shows_the_same_frames(clips: Any, show: Callable[[Path, list[float]], Images | None]) -> None:
    paths = [clips.write(name, **FILES[name]) for name in SHOWN]
    for name in ("trimmed", "trimmed_between_frames", "delayed"):
        paths.append(clips.write(f"{name}.mp4", options={"bf": "0", "g": "10"}))
        clips.set_edits(paths[-1], EDITS[name][0])
    for matrix in ((-1, 0, 0, 1), (0, 1, -1, 0), (0, -1, 1, 0), (-1, 0, 0, -1)):
        paths.append(clips.write(f"matrix{matrix}.mp4"))
        clips.set_matrix(paths[-1], matrix)
    times_s = [0.0, 0.145, 0.745, 0.855, 2.455]
    for path in paths:
        images = show(path, times_s)
        assert images is not None, path.name
        assert clips.read(read_frames(path, np.array(times_s), 64)) == clips.read(images), path.name


@pytest.mark.slow
@pytest.mark.browser
def test_a_browser_shows_real_videos_the_same_way_up(
    shared_dir: Path, show: Callable[[Path, list[float]], Images | None]
) -> None:
    for turn in (0, 90, 180, 270):
        path = shared_dir / "real" / "odd" / f"video_{turn}.mov"
        shown = show(path, [0.01])
        assert shown is not None
        (found,) = read_frames(path, np.array([0.01]), 64).astype(int)
        differences = [np.abs(np.rot90(found, quarters) - shown[0]).mean() for quarters in range(4)]
        assert differences[0] < min(differences[1:]) / 2
