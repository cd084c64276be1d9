"""Batched spans of many queries: padding, overlap with the truth, suppression. NumPy only.

Letters: Q queries, K or M spans of a query, G true moments of a query.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from corpus.moments import Floats, Ints, Moment

Bools = NDArray[np.bool_]
_ELEMENTS_PER_CHUNK = 2**17  # keeps the temporary arrays of a chunk in the processor's cache
_SHARES = (1 / 24, 1 / 4, 1.0)  # of the candidates of a query, tried in turn for suppression
_SAMPLE_STEP = 4  # one in this many candidates is sorted to estimate the score above which a share lies


class PaddedSpans(NamedTuple):
    """Several spans per query, for instance the true moments."""

    spans: Floats  # (Q, G, 2), zero where masked
    mask: Bools  # (Q, G), True at real spans


class RankedSpans(NamedTuple):
    """The answers of each query, best first."""

    spans: Floats  # (Q, K, 2), zero where not valid
    scores: Floats  # (Q, K), 0 where not valid
    valid: Bools  # (Q, K), True at answers, which precede all False entries

    def take(self, rows: Ints) -> "RankedSpans":
        """Return the answers of the chosen queries, in the given order."""
        return RankedSpans(self.spans[rows], self.scores[rows], self.valid[rows])

    def widen(self) -> "RankedSpans":
        """Return the answers in double precision, which scoring and writing use."""
        return RankedSpans(self.spans.astype(np.float64), self.scores.astype(np.float64), self.valid)

    def keep(self, count: int) -> "RankedSpans":
        """Return the first answers of each query."""
        return RankedSpans(self.spans[:, :count], self.scores[:, :count], self.valid[:, :count])


def pad_moments(moments: Sequence[Sequence[Moment]]) -> PaddedSpans:
    """Pad the moments of each query to the largest number G, at least 1."""
    width = max([1, *map(len, moments)])
    spans = np.zeros((len(moments), width, 2))
    mask = np.zeros((len(moments), width), dtype=bool)
    for row, of_query in enumerate(moments):
        for column, moment in enumerate(of_query):
            spans[row, column] = moment.start_s, moment.end_s
            mask[row, column] = True
    return PaddedSpans(spans, mask)


def compute_rowwise_iou(spans: Floats, others: Floats) -> Floats:
    """Return the temporal IoU of spans row by row: (..., 2) and (..., 2), broadcast -> (...).

    It uses the true union; two spans of length zero have IoU 0, as in `corpus.moments.compute_iou`.
    """
    return _compute_overlap(spans[..., 0], spans[..., 1], others[..., 0], others[..., 1])


def compute_hull_iou(spans: Floats, others: Floats) -> Floats:
    """Return the intersection over the hull row by row: (..., 2) and (..., 2), broadcast -> (...), 0 for an empty hull.

    For overlapping spans it equals the IoU up to rounding; for disjoint spans it is 0. Evaluators score with it and suppress
    with the true union; at a threshold the two can differ.
    """
    intersection = np.maximum(np.minimum(spans[..., 1], others[..., 1]) - np.maximum(spans[..., 0], others[..., 0]), 0)
    hull = np.maximum(spans[..., 1], others[..., 1]) - np.minimum(spans[..., 0], others[..., 0])
    iou: Floats = intersection / np.maximum(hull, np.finfo(hull.dtype).tiny)  # an empty hull has no intersection
    return iou


def _compute_overlap(starts: Floats, ends: Floats, other_starts: Floats, other_ends: Floats) -> Floats:
    """Return the IoU with few passes and few temporary arrays, because suppression spends its time here."""
    overlap: Floats = np.minimum(ends, other_ends) - np.maximum(starts, other_starts)
    np.maximum(overlap, 0, out=overlap)
    union = (ends - starts) + (other_ends - other_starts)
    union -= overlap
    np.maximum(union, np.finfo(union.dtype).tiny, out=union)  # an empty union has no intersection
    overlap /= union
    return overlap


def compute_best_iou(spans: Floats, truth: PaddedSpans) -> Floats:
    """Return the highest IoU of each span with a true moment: (Q, K, 2) -> (Q, K), 0 without true moments."""
    best = np.zeros(spans.shape[:2])
    for column in range(truth.mask.shape[1]):
        iou = compute_hull_iou(spans, truth.spans[:, None, column])
        best = np.where(truth.mask[:, None, column], np.maximum(best, iou), best)
    return best


def iterate_chunks(num_rows: int, row_size: int) -> Iterator[slice]:
    """Yield slices that cover all rows, with bounded `rows * row_size`, so that large tables fit into memory."""
    step = max(1, _ELEMENTS_PER_CHUNK // max(1, row_size))
    for start in range(0, num_rows, step):
        yield slice(start, start + step)


def rank_spans(candidates: RankedSpans, *, max_iou: float, max_kept: int) -> RankedSpans:
    """Rank each query's candidates by score with greedy non-maximum suppression: (Q, M) -> (Q, max_kept).

    A candidate is dropped when its IoU with a kept, better one is above `max_iou`; ties keep the earlier index. Otherwise, the
    order of candidates does not matter.

    Raises:
        ValueError: when a valid candidate has a score that is not finite.
    """
    chosen = np.full((len(candidates.scores), max_kept), -1, dtype=np.int64)
    for rows in iterate_chunks(len(chosen), candidates.scores.shape[1]):
        part = RankedSpans(candidates.spans[rows], candidates.scores[rows], candidates.valid[rows])
        if not (np.isfinite(part.scores) | ~part.valid).all():
            raise ValueError("rank_spans needs finite scores, got NaN or infinity; the model that gave them has diverged")
        chosen[rows] = _choose(part, max_iou=max_iou, max_kept=max_kept)
    return _gather(candidates, chosen)


def _choose(candidates: RankedSpans, *, max_iou: float, max_kept: int) -> Ints:
    """Suppress among the best candidates of each query first, and among more of them if too few are kept.

    Greedy suppression proceeds from the best candidate down, so the candidates it keeps above a score are the same, in the
    same order, as for all candidates.
    """
    chosen = np.full((len(candidates.scores), max_kept), -1, dtype=np.int64)
    rows: Ints = np.arange(len(chosen))
    for share in _SHARES:
        part = candidates if len(rows) == len(chosen) else candidates.take(rows)
        above = _find_best(part, share)
        chosen[rows] = _suppress(part, above, max_iou=max_iou, max_kept=max_kept)
        rows = rows[chosen[rows, -1] < 0] if max_kept else rows[:0]
        if not len(rows):
            break
    return chosen


def _find_best(candidates: RankedSpans, share: float) -> Bools:
    """Return the mask of about this share of best candidates of each query: (Q, M); all for share 1."""
    if share == 1:
        return candidates.valid
    sample = candidates.scores[:, ::_SAMPLE_STEP]
    place = int((1 - share) * (sample.shape[1] - 1))
    limits = np.partition(sample, place, axis=1)[:, place]  # (Q,)
    above: Bools = (candidates.scores > limits[:, None]) & candidates.valid
    return above


def _suppress(candidates: RankedSpans, above: Bools, *, max_iou: float, max_kept: int) -> Ints:
    """Return the indices (Q, max_kept) that greedy suppression keeps among the chosen candidates, -1 after the last one."""
    places, is_real = _pack(above)  # (Q, P)
    remaining = np.where(is_real, candidates.scores.ravel().take(places), -np.inf)
    spans = candidates.spans.reshape(-1, 2).take(places, axis=0)
    starts, ends = (np.ascontiguousarray(spans[..., side]) for side in (0, 1))
    chosen = np.full((len(places), max_kept), -1, dtype=np.int64)
    rows = np.arange(len(places))
    for rank in range(min(max_kept, places.shape[1])):
        best = remaining.argmax(axis=1)  # (Q,), the first of equal ones
        found = remaining[rows, best] > -np.inf
        if not found.any():
            break
        chosen[found, rank] = places[rows, best][found] % above.shape[1]
        if rank + 1 < max_kept:
            overlap = _compute_overlap(starts, ends, starts[rows, best][:, None], ends[rows, best][:, None])
            np.putmask(remaining, overlap > max_iou, -np.inf)
            remaining[rows, best] = -np.inf
    return chosen


def _pack(chosen: Bools) -> tuple[Ints, Bools]:
    """Return the flat indices of the chosen cells of each row, in order, padded with 0: (Q, M) -> (Q, P), (Q, P)."""
    flat = np.flatnonzero(chosen)
    rows = flat // chosen.shape[1]
    counts = np.bincount(rows, minlength=len(chosen))  # (Q,)
    width = max(1, int(counts.max(initial=0)))
    before = np.cumsum(counts) - counts  # chosen cells of the rows above
    places = np.zeros(len(chosen) * width, dtype=np.int64)
    places[np.arange(len(flat)) + np.repeat(np.arange(len(chosen)) * width - before, counts)] = flat
    return places.reshape(len(chosen), width), np.arange(width) < counts[:, None]


def _gather(candidates: RankedSpans, chosen: Ints) -> RankedSpans:
    valid = chosen >= 0
    spans = np.take_along_axis(candidates.spans, np.maximum(chosen, 0)[..., None], axis=1)
    scores = np.take_along_axis(candidates.scores, np.maximum(chosen, 0), axis=1)
    return RankedSpans(np.where(valid[..., None], spans, 0.0), np.where(valid, scores, 0.0), valid)
