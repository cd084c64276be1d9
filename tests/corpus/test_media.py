"""The right frame at every time, whatever the file; refusals that say why; bounded work."""

import math
import pickle
import random
import tracemalloc
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from corpus.media import (
    ClipSampling,
    MediaInfo,
    UndecodableError,
    check_decodable,
    compute_clip_times,
    decoder_version,
    iter_clips,
    probe,
    read_frames,
)
from corpus.media.scaling import Scaler

SAMPLING = ClipSampling(clip_rate_hz=2, offsets_s=(-0.6, 0.0, 0.2, 0.6), size_px=32)
UNEVEN_MS = [0, 40, 250, 260, 300, 900, 910, 1500, 1533, 1567, 2400, 2401, 2500, 3000]


def displayed(starts_ms: list[int], time_s: float) -> int:
    """Slow reference: the last frame that starts at or before the time, the first one before that."""
    return max((number for number, start in enumerate(starts_ms) if start / 1000 <= time_s), default=0)


def read_clips(path: Path, sampling: ClipSampling, *, duration_s: float, num_threads: int = 1) -> NDArray[np.uint8]:
    return np.concatenate(list(iter_clips(path, sampling, duration_s=duration_s, num_threads=num_threads)))


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("cfr.mp4", {"options": {"bf": "0"}}),
        ("b_frames.mp4", {"options": {"bf": "3", "g": "12"}}),
        ("open_gop.mkv", {"options": {"bf": "3", "g": "6", "x264-params": "open-gop=1"}}),
        ("sound.mp4", {"sound_s": 4.0}),
        ("mov.mov", {}),
        ("mkv.mkv", {}),
        ("webm.webm", {"codec": "libvpx", "options": {"deadline": "realtime", "cpu-used": "8"}}),
        ("avi.avi", {"codec": "mpeg4"}),
        ("avi_b.avi", {"codec": "mpeg4", "options": {"bf": "0", "g": "4"}}),
        ("odd_size.mkv", {"codec": "ffv1", "pix_fmt": "yuv444p", "size": (67, 51)}),
        ("ten_bit.mkv", {"codec": "ffv1", "pix_fmt": "yuv420p10le"}),
        ("gray.mkv", {"codec": "ffv1", "pix_fmt": "gray"}),
    ],
)
def test_the_frame_on_display_comes_back_from_every_container(clips: Any, name: str, values: dict[str, Any]) -> None:
    path = clips.write(name, **values)
    times_s = np.array([random.Random(name).uniform(0, 4) for _ in range(60)] + [0.0, 0.1, 0.3, 3.9, 3.95])
    expected = [displayed(list(range(0, 4000, 100)), time_s) for time_s in times_s]
    assert clips.read(read_frames(path, times_s, 64)) == expected


@pytest.mark.parametrize("name", ["uneven.mp4", "uneven.mkv"])
@pytest.mark.parametrize("max_b_frames", ["0", "3"])
def test_the_frame_on_display_comes_back_at_a_variable_frame_rate(clips: Any, name: str, max_b_frames: str) -> None:
    path = clips.write(name, starts_ms=UNEVEN_MS, options={"bf": max_b_frames})
    times_s = np.array([random.Random(name).uniform(0, 3.5) for _ in range(80)] + [start / 1000 for start in UNEVEN_MS])
    assert clips.read(read_frames(path, times_s, 64)) == [displayed(UNEVEN_MS, time_s) for time_s in times_s]


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_frames_come_out_upright(clips: Any, rotation: int) -> None:
    path = clips.write("turned.mp4", rotation=rotation)
    assert clips.read(read_frames(path, np.array([0.5, 2.3]), 64)) == [5, 23]
    info = probe(path)
    assert (info.width, info.height, info.rotation) == (64, 48, rotation)


def test_a_stream_that_starts_late_shows_its_first_frame_until_the_second_one_starts(clips: Any) -> None:
    path = clips.write("late.mkv", starts_ms=[700, 800, 900, 1000])
    assert clips.read(read_frames(path, np.array([0.0, 0.75, 0.85, 0.95, 1.0]), 64)) == [0, 0, 1, 2, 3]
    assert probe(path).duration_s == pytest.approx(1.1)


def test_times_may_come_in_any_order_and_more_than_once(clips: Any) -> None:
    path = clips.write()
    assert clips.read(read_frames(path, np.array([3.0, 0.5, 3.0, 1.25]), 64)) == [30, 5, 30, 12]


def test_times_outside_the_video_see_its_first_and_last_frame(clips: Any) -> None:
    assert clips.read(read_frames(clips.write(), np.array([-1.0, 99.0]), 64)) == [0, 39]


def test_no_times_give_no_frames(clips: Any) -> None:
    assert read_frames(clips.write(), np.array([]), 16).shape == (0, 16, 16, 3)


def test_black_is_black_and_white_is_white(clips: Any) -> None:
    image = read_frames(clips.write(codec="ffv1", name="exact.mkv"), np.array([1.5]), 64)[
        0
    ]  # number 15: row of zeros, row of ones
    assert image[16, 8].max() <= 2
    assert image[48, 56].min() >= 253


def test_clip_times_are_centres_plus_offsets_within_the_video() -> None:
    sampling = ClipSampling(clip_rate_hz=2, offsets_s=(-0.5, 0.0, 0.5), size_px=8)
    times_s = compute_clip_times(1.6, sampling)
    end = float(np.nextafter(1.6, 0))
    np.testing.assert_allclose(times_s, [[0, 0.25, 0.75], [0.25, 0.75, 1.25], [0.75, 1.25, end]])
    assert times_s.max() < 1.6


@pytest.mark.parametrize(("duration_s", "num_clips"), [(0.01, 1), (0.5, 1), (10.0, 20), (10.2, 20), (10.3, 21)])
def test_the_number_of_clips_is_the_rounded_duration_times_the_rate(duration_s: float, num_clips: int) -> None:
    assert compute_clip_times(duration_s, SAMPLING).shape == (num_clips, 4)


@pytest.mark.parametrize("clips_per_batch", [1, 2, 3, 64])
def test_batches_hold_the_same_clips_as_frames_read_one_by_one(clips: Any, clips_per_batch: int) -> None:
    path = clips.write()
    times_s = compute_clip_times(4.0, SAMPLING)
    expected = read_frames(path, times_s.ravel(), 32).reshape(8, 4, 32, 32, 3)
    batches = list(iter_clips(path, SAMPLING, duration_s=4.0, clips_per_batch=clips_per_batch))
    assert [len(batch) for batch in batches[:-1]] == [clips_per_batch] * (len(batches) - 1)
    np.testing.assert_array_equal(np.concatenate(batches), expected)
    np.testing.assert_array_equal(read_clips(path, SAMPLING, duration_s=4.0), expected)


def test_a_video_shorter_than_its_claimed_duration_repeats_its_last_frame(clips: Any) -> None:
    last = read_clips(clips.write(), SAMPLING, duration_s=6.0)[-1]
    assert clips.read(last) == [39] * 4


def test_every_frame_is_decoded_and_scaled_at_most_once(clips: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[object] = []
    scale = Scaler.scale
    monkeypatch.setattr(Scaler, "scale", lambda self, frame: (calls.append(frame), scale(self, frame))[1])
    read_clips(clips.write(), SAMPLING, duration_s=4.0)
    assert len(calls) <= 40


def test_memory_does_not_grow_with_the_length_of_the_video(clips: Any) -> None:
    path = clips.write("two_hours.mp4", starts_ms=[0, 3_600_000, 7_199_000])
    tracemalloc.start()
    num_clips = sum(len(batch) for batch in iter_clips(path, SAMPLING, duration_s=7200.0))
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert num_clips == 14_400
    assert peak_bytes < 40e6  # all clips are 177 MB


def test_clips_are_the_same_bytes_with_one_and_two_decoding_threads(clips: Any) -> None:
    path = clips.write(options={"bf": "2"})
    one, two = (read_clips(path, SAMPLING, duration_s=4.0, num_threads=number) for number in (1, 2))
    assert one.tobytes() == two.tobytes()


def test_probe_tells_the_facts_of_a_file(clips: Any) -> None:
    found = probe(clips.write(sound_s=4.0))
    assert found == MediaInfo(
        duration_s=found.duration_s,
        fps=10.0,
        num_frames=40,
        width=64,
        height=48,
        rotation=0,
        codec="h264",
        has_audio=True,
        frame_rate="10/1",
        audio_codec="aac",
        audio_rate_hz=8000,
        audio_channels=1,
    )
    assert found.duration_s == pytest.approx(4.0, abs=0.2)


def test_probe_counts_what_a_container_does_not_say(clips: Any) -> None:
    path = clips.write("raw.h264", options={"bf": "0"})
    found = probe(path)
    assert found.num_frames == 40
    assert math.isfinite(found.duration_s)
    assert found.duration_s > 0


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere.mp4 does not exist"):
        probe(tmp_path / "nowhere.mp4")


def write_sound(path: Path) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.float32), format="fltp", layout="mono")
        frame.sample_rate, frame.pts = 8000, 0
        container.mux([*stream.encode(frame), *stream.encode(None)])


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("zero.mp4", r"the file is empty \(0 bytes\)"),
        ("text.mp4", "it cannot be decoded"),
        ("sound.mp4", "it holds no video stream"),
        ("cut.mp4", "it cannot be decoded"),
    ],
)
def test_what_is_no_video_is_refused_with_its_name_and_reason(clips: Any, tmp_path: Path, name: str, reason: str) -> None:
    path = tmp_path / name
    if name == "zero.mp4":
        path.touch()
    elif name == "text.mp4":
        path.write_text("no video")
    elif name == "sound.mp4":
        write_sound(path)
    else:
        whole = clips.write("whole.mp4").read_bytes()  # its index is at the end
        path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UndecodableError, match=f"{name}: {reason}"):
        probe(path)


def test_a_truncated_file_with_its_index_in_front_fails_the_check(clips: Any) -> None:
    path = clips.write("cut.mkv", starts_ms=range(0, 20000, 100))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(UndecodableError, match=r"cut.mkv: its header claims \d+\.\d+ s, but the content ends after"):
        check_decodable(path)


def test_a_sound_file_passes_the_check(clips: Any) -> None:
    check_decodable(clips.write(sound_s=9.0))


def test_damage_in_the_middle_fails_the_check(clips: Any) -> None:
    path = clips.write(starts_ms=range(0, 10000, 100), options={"g": "100"}, size=(160, 120))
    content = bytearray(path.read_bytes())
    middle = len(content) // 3
    content[middle : middle + 400] = bytes(400)
    path.write_bytes(content)
    with pytest.raises(UndecodableError, match="clip.mp4: (it cannot be decoded|.* frames are damaged)"):
        check_decodable(path)


def test_an_undecodable_error_survives_the_way_between_processes() -> None:
    error = pickle.loads(pickle.dumps(UndecodableError(Path("a.mp4"), "why")))
    assert (str(error), error.reason) == ("a.mp4: why", "why")


def test_the_decoder_names_its_versions() -> None:
    assert decoder_version().startswith(f"PyAV {av.__version__}, libavcodec ")


def test_real_files_are_read_as_published(shared_dir: Path) -> None:
    odd = shared_dir / "real" / "odd"
    assert [probe(odd / f"video_{turn}.mov").rotation for turn in (0, 90, 180, 270)] == [0, 90, 180, 270]
    assert probe(odd / "avi_container.avi").num_frames == 164
    assert probe(shared_dir / "real" / "videos" / "Y1HGC.mp4").duration_s == pytest.approx(30.72)
    with pytest.raises(UndecodableError, match="corrupted.mp4: it cannot be decoded"):
        check_decodable(odd / "corrupted.mp4")
