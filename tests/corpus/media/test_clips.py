"""Picture clips: times, bytes, cost and memory."""

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from corpus.media import ClipSampling, Images, compute_clip_times, iter_clips, read_frames
from corpus.media.pictures.scaling import Scaler

SAMPLING = ClipSampling(clip_rate_hz=2, offsets_s=(-0.6, 0.0, 0.2, 0.6), size_px=32)


def read_clips(path: Path, sampling: ClipSampling, *, duration_s: float, num_threads: int = 1) -> Images:
    return np.concatenate(list(iter_clips(path, sampling, duration_s=duration_s, num_threads=num_threads)))


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
    monkeypatch.setattr(Scaler, "scale", lambda self, *shown: (calls.append(shown), scale(self, *shown))[1])
    read_clips(clips.write(), SAMPLING, duration_s=4.0)
    assert len(calls) <= 40


def test_memory_does_not_grow_with_the_length_of_the_video(clips: Any) -> None:
    path = clips.write("two_hours.mp4", starts_ms=[0, 3_600_000, 7_199_000])
    tracemalloc.start()
    num_clips = sum(len(batch) for batch in iter_clips(path, SAMPLING, duration_s=7200.0))
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert num_clips == 14_400
    assert peak_bytes < 40e6  # all clips take 177 MB


def test_clips_are_the_same_bytes_with_one_and_two_decoding_threads(clips: Any) -> None:
    path = clips.write(options={"bf": "2"})
    one, two = (read_clips(path, SAMPLING, duration_s=4.0, num_threads=number) for number in (1, 2))
    assert one.tobytes() == two.tobytes()
