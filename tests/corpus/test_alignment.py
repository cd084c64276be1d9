"""Temporal alignment of streams with any clip rates."""

import numpy as np
import pytest

from corpus.alignment import align_clips, find_matching_clips, match_window
from corpus.windows import Window, WindowRule, cut_video


def test_a_stream_of_the_same_rate_is_matched_clip_by_clip() -> None:
    assert find_matching_clips(3, 2.0, num_clips=3, clip_rate_hz=2.0).tolist() == [[0, 1], [1, 2], [2, 3]]


def test_a_faster_stream_is_averaged_and_a_slower_one_repeated() -> None:
    assert find_matching_clips(2, 1.0, num_clips=8, clip_rate_hz=4.0).tolist() == [[0, 4], [4, 8]]
    assert find_matching_clips(4, 2.0, num_clips=2, clip_rate_hz=1.0).tolist() == [[0, 1], [0, 1], [1, 2], [1, 2]]


def test_clips_behind_the_end_of_a_shorter_stream_are_its_last_one() -> None:
    assert find_matching_clips(4, 2.0, num_clips=3, clip_rate_hz=2.0).tolist()[-2:] == [[2, 3], [2, 3]]


@pytest.mark.parametrize(
    ("num_grid", "grid_hz", "num_clips", "rate_hz"), [(13, 2.0, 40, 6.25), (40, 6.25, 13, 2.0), (7, 0.9, 7, 1)]
)
def test_aligned_clips_are_the_means_of_a_slow_loop(num_grid: int, grid_hz: float, num_clips: int, rate_hz: float) -> None:
    features = np.random.default_rng(0).normal(size=(num_clips, 3, 5)).astype(np.float16)
    expected = []
    for clip in range(num_grid):
        start, stop = round(clip * rate_hz / grid_hz), round((clip + 1) * rate_hz / grid_hz)
        start = min(start, num_clips - 1)
        stop = min(max(stop, start + 1), num_clips)
        expected.append(features[start:stop].astype(np.float64).mean(0))
    aligned = align_clips(features, num_grid, grid_hz, clip_rate_hz=rate_hz)
    assert aligned.dtype == np.float32
    np.testing.assert_allclose(aligned, expected, rtol=1e-6)


def test_a_window_is_matched_to_itself_in_its_own_stream() -> None:
    for window in cut_video(200, 100.3, WindowRule(17.0), clip_rate_hz=2.0):
        assert match_window(window, num_clips=200, duration_s=100.3, clip_rate_hz=2.0) == window


def test_a_window_is_matched_by_its_seconds() -> None:
    window = Window(first=10, end=30, start_s=5.0, end_s=15.0)
    assert match_window(window, num_clips=400, duration_s=100.0, clip_rate_hz=4.0) == Window(20, 60, 5.0, 15.0)
    assert match_window(window, num_clips=50, duration_s=100.0, clip_rate_hz=None) == Window(2, 8, 5.0, 15.0)


def test_the_last_window_takes_all_clips_and_every_window_one() -> None:
    assert match_window(Window(90, 100, 45.0, 50.0), num_clips=13, duration_s=50.0, clip_rate_hz=0.25)[:2] == (11, 13)
    assert match_window(Window(0, 1, 0.0, 0.1), num_clips=5, duration_s=50.0, clip_rate_hz=0.1)[:2] == (0, 1)
    assert match_window(Window(95, 100, 49.9, 50.0), num_clips=5, duration_s=50.0, clip_rate_hz=0.1)[:2] == (4, 5)
