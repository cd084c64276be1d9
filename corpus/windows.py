"""Windows of long videos, as long as the training videos of a model. NumPy only, shared by training and serving."""

import functools
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from corpus.moments import ClipResampler, Floats, Ints, compute_clip_rate, find_cell_ranges


@dataclass(frozen=True, slots=True)
class WindowRule:
    """Rule for cutting videos that are longer than the training videos of a localizer."""

    window_s: float  # length of a window; a shorter video is one window
    overlap: float = 0.5  # minimum share of a window repeated by the next one; moments up to that length fit into one window

    def __post_init__(self) -> None:
        """Refuse windows without length."""
        if not 0 < self.window_s < float("inf"):
            raise ValueError(f"a window needs a length above 0 s, got window_s={self.window_s}")


class Window(NamedTuple):
    """A part of a video that a localizer reads at once: clips [first, end), and time in the video."""

    first: int
    end: int
    start_s: float
    end_s: float

    @property
    def duration_s(self) -> float:
        """The length in seconds."""
        return self.end_s - self.start_s


class WindowId(NamedTuple):
    """A window of a video, numbered from 0 in order of time."""

    video_id: str
    number: int


def cut_video(num_clips: int, duration_s: float, rule: WindowRule, *, clip_rate_hz: float | None) -> tuple[Window, ...]:
    """Return the windows of a video in order. A video no longer than a window is one window from 0 to `duration_s`.

    Without a clip rate, the clips span the video evenly.
    """
    rate_hz = compute_clip_rate(clip_rate_hz, num_clips=num_clips, duration_s=duration_s)
    bounds = compute_windows(num_clips, max(1, round(rule.window_s * rate_hz)), overlap=rule.overlap)
    return tuple(
        Window(int(first), int(end), float(first / rate_hz), duration_s if end == num_clips else float(end / rate_hz))
        for first, end in bounds
    )


def compute_windows(num_clips: int, window_clips: int, *, overlap: float) -> Ints:
    """Return the windows of a video as (first, end) clips in order: (W, 2).

    Each is `window_clips` long and shares at least `overlap` of it with the next, so a moment up to that length fits into one
    window. The last one ends with the video and may share more. A video no longer than a window is one window.

    Raises:
        ValueError: when the video or the window has no clips, or overlap is not in [0, 1).
    """
    if num_clips < 1 or window_clips < 1 or not 0 <= overlap < 1:
        raise ValueError(
            "compute_windows needs num_clips >= 1, window_clips >= 1 and 0 <= overlap < 1, "
            f"got {num_clips}, {window_clips} and {overlap}"
        )
    last = max(num_clips - window_clips, 0)
    stride = max(1, int(window_clips * (1 - overlap)))
    first = np.minimum(np.arange(-(-last // stride) + 1) * stride, last)  # (W,)
    return np.stack([first, np.minimum(first + window_clips, num_clips)], axis=1)


class CellTable(NamedTuple):
    """The cells of all windows of a video without duplicates; overlapping windows share cells."""

    ranges: Ints  # (C, 2) clips [first, end) that a cell averages, in order
    rows: tuple[slice | Ints, ...]  # of the N cells of each window among the C


def share_cells(windows: Iterable[Window], num_cells: int) -> CellTable:
    """Return the cells of the windows of a video.

    With an overlap of 0.5, windows of an even number of clips share about half of their cells with the next one. Other windows
    share almost no cells, because their cells hold other clips. A video of fewer clips than cells has as many cells as clips.
    """
    return _share_cells(tuple((window.first, window.end) for window in windows), num_cells)


@functools.lru_cache(maxsize=4096)  # many videos have the same length
def _share_cells(bounds: tuple[tuple[int, int], ...], num_cells: int) -> CellTable:
    parts = [first + find_cell_ranges(end - first, num_cells) for first, end in bounds]
    ranges, rows = np.unique(np.concatenate(parts), axis=0, return_inverse=True)  # (C, 2), (W * N)
    return CellTable(ranges, tuple(map(_simplify, rows.reshape(-1, num_cells))))


def _simplify(rows: Ints) -> slice | Ints:
    """Return consecutive rows as a slice, which copies nothing."""
    first = int(rows[0])
    return slice(first, first + len(rows)) if np.array_equal(rows, np.arange(first, first + len(rows))) else rows


class RangeAverager:
    """Streaming average of clips, in batches, over ranges [first, end) (C, 2), ordered by their first clip.

    Memory holds only the sums of overlapping ranges, for videos of any length.
    """

    def __init__(self, ranges: Ints) -> None:
        """Expect the clips of one video from the first to the last."""
        self._waiting, self._opened = deque(ranges.tolist()), deque[tuple[int, int, ClipResampler]]()
        self._num_added = 0

    def add(self, features: Floats) -> Iterator[Floats]:
        """Add the next clips, (n, ...), and yield the mean of each completed range, (...) float32."""
        start, stop = self._num_added, self._num_added + len(features)
        while self._waiting and self._waiting[0][0] < stop:
            first, end = self._waiting.popleft()
            self._opened.append((first, end, ClipResampler(end - first, 1)))
        for first, end, resampler in self._opened:
            if end > start:
                resampler.add(features[max(first - start, 0) : end - start])
        self._num_added = stop
        while self._opened and self._opened[0][1] <= stop:
            yield self._opened.popleft()[2].compute_means()[0]


def average_ranges(batches: Iterable[Floats], ranges: Ints) -> Iterator[Floats]:
    """Yield the mean of each range of clips, (...) float32, from batches (n, ...) of a video; see `RangeAverager`."""
    averager = RangeAverager(ranges)
    for features in batches:
        yield from averager.add(features)
