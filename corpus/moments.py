"""Moments and their arithmetic: grids, spans, IoU, NMS, resampling, ranking. NumPy only, shared by training and serving.

Letters: M candidate moments, N cells of the time axis, S source clips, D feature width.
A span array is float, shape (..., 2), last axis (start, end), in seconds unless a name says otherwise.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
Ints = NDArray[np.integer]


@dataclass(frozen=True, slots=True, order=True)
class Moment:
    """A half-open interval [start_s, end_s) of one video, in seconds."""

    start_s: float
    end_s: float

    def __post_init__(self) -> None:
        """Refuse intervals that are empty, negative or not finite."""
        if not 0 <= self.start_s < self.end_s < float("inf"):
            raise ValueError(f"Moment needs 0 <= start_s < end_s, got start_s={self.start_s}, end_s={self.end_s}")


class RankedMoment(NamedTuple):
    """One answer of a search: a span of a video with its score (higher is better)."""

    video_id: str
    start_s: float
    end_s: float
    score: float


def compute_iou(spans: Floats, others: Floats) -> Floats:
    """Return the temporal IoU of every pair: (A, 2) and (B, 2) -> (A, B), in [0, 1].

    Two spans of length zero have IoU 0, even if they are equal.
    """
    start = np.maximum(spans[:, None, 0], others[None, :, 0])
    end = np.minimum(spans[:, None, 1], others[None, :, 1])
    intersection = np.maximum(end - start, 0)  # (A, B)
    length = spans[:, 1] - spans[:, 0]
    other_length = others[:, 1] - others[:, 0]
    union = length[:, None] + other_length[None, :] - intersection
    iou: Floats = np.divide(intersection, union, out=np.zeros_like(intersection), where=union > 0)
    return iou


def suppress_overlaps(spans: Floats, scores: Floats, *, max_iou: float, max_kept: int) -> Ints:
    """Return the indices kept by greedy non-maximum suppression, best first, at most `max_kept`.

    A candidate is dropped when its IoU with a kept one is above `max_iou`; ties keep the earlier index.
    """
    order = np.argsort(-scores, kind="stable")
    ordered = spans[order]
    kept: list[int] = []
    alive = np.ones(len(order), dtype=bool)
    while alive.any():
        best = int(alive.argmax())  # the first remaining one
        kept.append(int(order[best]))
        if len(kept) == max_kept:
            break
        alive &= compute_iou(ordered[best : best + 1], ordered)[0] <= max_iou
        alive[best] = False
    return np.asarray(kept, dtype=np.int64)


def build_dense_cells(num_cells: int) -> Ints:
    """Return every (first, last) pair of cells with first <= last: (N * (N + 1) / 2, 2), ordered by first, then last."""
    first, last = np.triu_indices(num_cells)
    return np.stack([first, last], axis=1)


def compute_cell_spans(cells: Ints, *, num_cells: int, duration_s: float) -> Floats:
    """Return the spans in seconds of (first, last) cells: [first * T / N, (last + 1) * T / N). (M, 2) -> (M, 2)."""
    spans: Floats = (cells + np.array([0, 1])) * (duration_s / num_cells)
    return spans


def resample_clips(features: Floats, num_cells: int) -> Floats:
    """Average S clips into `num_cells` cells: (S, ...) -> (N, ...), float32; see `ClipResampler`."""
    if len(features) == 0:
        raise ValueError("resample_clips needs at least one clip, got features with length 0")
    resampler = ClipResampler(len(features), num_cells)
    resampler.add(features)
    return resampler.compute_means()


def find_cell_ranges(num_clips: int, num_cells: int) -> Ints:
    """Return the clips [first, end) that each cell averages: (N, 2) of S = `num_clips` clips, at least one.

    Cell i is the mean of clips round(i * S / N) up to round((i + 1) * S / N), or the single clip at its start if that
    range is empty. Source: the segment rule of 2D-TAN (arXiv:1912.03590).
    """
    edges = np.round(np.arange(num_cells + 1) * num_clips / num_cells).astype(np.int64)
    first = np.minimum(edges[:-1], num_clips - 1)  # (N,)
    return np.stack([first, np.maximum(edges[1:], first + 1)], axis=1)


class ClipResampler:
    """Streaming average of clips, in batches, into the cells of `find_cell_ranges`.

    It holds only the sums of the cells, for any number of clips. A mean does not depend on the batches, because sums of
    some thousand float16 numbers are exact in float64.
    """

    def __init__(self, num_clips: int, num_cells: int) -> None:
        """Expect S = `num_clips` clips, at least one."""
        self._first, self._end = find_cell_ranges(num_clips, num_cells).T  # (N,) each
        self._num_clips = num_clips
        self._num_added = 0
        self._sums: Floats = np.zeros(num_cells)  # (N, ...) from the first batch on

    def add(self, features: Floats) -> None:
        """Add the next clips of the video, (n, ...).

        Raises:
            ValueError: when there are more clips than expected.
        """
        start, stop = self._num_added, self._num_added + len(features)
        if stop > self._num_clips:
            raise ValueError(f"expected {self._num_clips} clips, got at least {stop}")
        if start == 0:
            self._sums = np.zeros((len(self._first), *features.shape[1:]))
        for cell in np.flatnonzero((self._first < stop) & (self._end > start)):
            part = features[max(self._first[cell] - start, 0) : self._end[cell] - start]
            self._sums[cell] += part.sum(axis=0, dtype=np.float64)
        self._num_added = stop

    def compute_means(self) -> Floats:
        """Return the cells, (N, ...) float32.

        Raises:
            ValueError: when clips are missing.
        """
        if self._num_added != self._num_clips:
            raise ValueError(f"expected {self._num_clips} clips, got {self._num_added}")
        counts = (self._end - self._first).reshape(-1, *[1] * (self._sums.ndim - 1))
        means: Floats = (self._sums / counts).astype(np.float32)
        return means


def compute_clip_rate(stated_hz: float | None, *, num_clips: int, duration_s: float) -> float:
    """Return the clips per second of a video: the stated rate, or without one the rate of clips that span it evenly."""
    return num_clips / duration_s if stated_hz is None else stated_hz


def find_clips(spans: Floats, *, num_clips: int | Ints, clip_rate_hz: float | Floats) -> Ints:
    """Return the (first, last) clips whose centres lie in each span: (M, 2) seconds -> (M, 2).

    Clip i is centred at (i + 0.5) / clip_rate_hz. A span without a centre gets the clip that it lies in. `num_clips` and
    `clip_rate_hz` are one number each, or one per span (M,).
    """
    rates_hz = np.asarray(clip_rate_hz, dtype=np.float64)[..., None]  # (1,) or (M, 1)
    edges = np.ceil(np.asarray(spans, dtype=np.float64) * rates_hz - 0.5).astype(np.int64)  # (M, 2) first, end
    middle = np.floor((spans[:, 0] + spans[:, 1]) / 2 * clip_rate_hz).astype(np.int64)
    is_empty = edges[:, 0] >= edges[:, 1]
    first = np.where(is_empty, middle, edges[:, 0])
    last = np.where(is_empty, middle, edges[:, 1] - 1)
    largest = np.asarray(num_clips)[..., None] - 1  # (1,) or (M, 1)
    clips: Ints = np.minimum(np.maximum(np.stack([first, last], axis=1), 0), largest)
    return clips


def score_spans(clip_scores: Floats, cells: Ints, *, flank_weight: float = 0.5, limits: Ints | None = None) -> Floats:
    """Score spans by clip scores: mean inside minus `flank_weight` times the mean of the flanks. (S,) -> (M,).

    A flank is as long as half the span, at least one clip, cut at the video's ends; a span without flanks (the
    whole video) is compared with 0. `cells` are (first, last) clip indices. If the clips of several videos are concatenated,
    `limits` (M, 2) are the first clip of each span's video and the first one after it.
    """
    totals = np.concatenate([[0.0], np.cumsum(clip_scores, dtype=np.float64)])
    first, end = cells[:, 0], cells[:, 1] + 1
    flank = np.maximum((end - first) // 2, 1)
    lowest, highest = (0, len(clip_scores)) if limits is None else limits.T
    left, right = np.maximum(first - flank, lowest), np.minimum(end + flank, highest)
    inside = (totals[end] - totals[first]) / (end - first)
    flank_sum = totals[first] - totals[left] + totals[right] - totals[end]
    flank_count = (first - left) + (right - end)
    outside = np.divide(flank_sum, flank_count, out=np.zeros_like(flank_sum), where=flank_count > 0)
    scores: Floats = inside - flank_weight * outside
    return scores
