"""Spans of many queries at once: padding, overlap with the truth, suppression. NumPy only.

Letters: Q queries, K or M spans of a query, G true moments of a query.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from corpus.moments import Floats, Ints, Moment

Bools = NDArray[np.bool_]
_ELEMENTS_PER_CHUNK = 2**16  # keeps the temporary arrays of a chunk in the processor's cache


class PaddedSpans(NamedTuple):
    """Several spans per query, for instance the true moments."""

    spans: Floats  # (Q, G, 2), zero where masked
    mask: Bools  # (Q, G), True at real spans


class RankedSpans(NamedTuple):
    """The answers to each query, best first."""

    spans: Floats  # (Q, K, 2), zero where not valid
    scores: Floats  # (Q, K), 0 where not valid
    valid: Bools  # (Q, K), True at answers; false ones stand behind all true ones

    def take(self, rows: Ints) -> "RankedSpans":
        """Return the answers of the chosen queries, in the order given."""
        return RankedSpans(self.spans[rows], self.scores[rows], self.valid[rows])


def pad_moments(moments: Sequence[Sequence[Moment]]) -> PaddedSpans:
    """Pad each query's moments to the largest number G of them, at least 1."""
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

    The union is the true union, and two spans of length zero have IoU 0, as in `corpus.moments.compute_iou`.
    """
    return _compute_overlap(spans[..., 0], spans[..., 1], others[..., 0], others[..., 1])


def _compute_overlap(starts: Floats, ends: Floats, other_starts: Floats, other_ends: Floats) -> Floats:
    intersection = np.maximum(np.minimum(ends, other_ends) - np.maximum(starts, other_starts), 0)
    union = (ends - starts) + (other_ends - other_starts) - intersection
    iou: Floats = np.divide(intersection, union, out=np.zeros_like(intersection), where=union > 0)
    return iou


def compute_best_iou(spans: Floats, truth: PaddedSpans) -> Floats:
    """Return the IoU of each span with the true moment it overlaps most: (Q, K, 2) -> (Q, K), 0 without true moments."""
    best = np.zeros(spans.shape[:2])
    for column in range(truth.mask.shape[1]):
        iou = compute_rowwise_iou(spans, truth.spans[:, None, column])
        best = np.where(truth.mask[:, None, column], np.maximum(best, iou), best)
    return best


def iterate_chunks(num_rows: int, row_size: int) -> Iterator[slice]:
    """Yield slices that cover all rows, each of bounded `rows * row_size`, so that large tables fit into memory."""
    step = max(1, _ELEMENTS_PER_CHUNK // max(1, row_size))
    for start in range(0, num_rows, step):
        yield slice(start, start + step)


def rank_spans(candidates: RankedSpans, *, max_iou: float, max_kept: int) -> RankedSpans:
    """Rank each query's candidates by score with greedy non-maximum suppression: (Q, M) -> (Q, max_kept).

    A candidate is dropped when its IoU with a better one kept is above `max_iou`; ties keep the earlier index. The order of
    the given candidates does not matter otherwise.

    Raises:
        ValueError: when a valid candidate has a score that is not finite.
    """
    if not np.isfinite(candidates.scores[candidates.valid]).all():
        raise ValueError("rank_spans needs finite scores, got NaN or infinity; the model that gave them has diverged")
    chosen = np.full((len(candidates.scores), max_kept), -1, dtype=np.int64)
    for rows in iterate_chunks(len(chosen), candidates.scores.shape[1]):
        part = RankedSpans(candidates.spans[rows], candidates.scores[rows], candidates.valid[rows])
        chosen[rows] = _suppress(part, max_iou=max_iou, max_kept=max_kept)
    return _gather(candidates, chosen)


def _suppress(candidates: RankedSpans, *, max_iou: float, max_kept: int) -> Ints:
    chosen = np.full((len(candidates.scores), max_kept), -1, dtype=np.int64)
    remaining = np.where(candidates.valid, candidates.scores, -np.inf)  # (Q, M)
    starts, ends = (np.ascontiguousarray(candidates.spans[..., side]) for side in (0, 1))
    rows = np.arange(len(remaining))
    for rank in range(min(max_kept, remaining.shape[1])):
        best = remaining.argmax(axis=1)  # (Q,), the first of equal ones
        found = remaining[rows, best] > -np.inf
        if not found.any():
            break
        chosen[found, rank] = best[found]
        overlap = _compute_overlap(starts, ends, starts[rows, best][:, None], ends[rows, best][:, None])
        remaining[overlap > max_iou] = -np.inf
        remaining[rows, best] = -np.inf
    return chosen


def _gather(candidates: RankedSpans, chosen: Ints) -> RankedSpans:
    valid = chosen >= 0
    spans = np.take_along_axis(candidates.spans, np.maximum(chosen, 0)[..., None], axis=1)
    scores = np.take_along_axis(candidates.scores, np.maximum(chosen, 0), axis=1)
    return RankedSpans(np.where(valid[..., None], spans, 0.0), np.where(valid, scores, 0.0), valid)
