"""Convention of DiDeMo (Hendricks et al. 2017, arXiv:1708.01641, section 4): Rank@1, Rank@5 and mIoU of several annotators.

A video is six chunks of 5 s. An answer is one of its 21 runs of chunks, and all runs are ranked. Each annotator marked one run.
The rank of a query is the mean of the three best ranks of annotated moments, and Rank@k tells whether it is at most k. mIoU is
the mean of the three largest IoUs of the first answer with annotated moments. Annotators who disagree thus do not count.
Deviation: candidates that are not runs of chunks move to the nearest run, which takes the rank of its best candidate.
Letters: Q queries, K answers, A annotators.
"""

from dataclasses import dataclass

import numpy as np

from corpus.moments import Floats, Ints
from models.metrics.convention import Convention, Figures, IoURule
from models.metrics.spans import PaddedSpans, RankedSpans, compute_rowwise_iou

CHUNK_S, NUM_CHUNKS = 5.0, 6
NUM_SEGMENTS = NUM_CHUNKS * (NUM_CHUNKS + 1) // 2
NUM_BEST = 3  # people that count


@dataclass(frozen=True)
class DiDeMoConvention(Convention):
    """Rank@{1, 5} and mIoU. The truth has one span per annotator; a hit is the same run of chunks."""

    iou_rule: IoURule = IoURule.AT_LEAST
    max_kept: int = NUM_SEGMENTS
    ranks: tuple[int, ...] = (1, 5)
    name: str = "DiDeMo"

    def rank(self, candidates: RankedSpans) -> RankedSpans:
        """Sort by score, move to runs of chunks, and keep the first candidate of each."""
        order = np.argsort(np.where(candidates.valid, -candidates.scores, np.inf), axis=1, kind="stable")
        codes = encode_segments(np.take_along_axis(candidates.spans, order[..., None], axis=1))  # (Q, M)
        codes = np.where(np.take_along_axis(candidates.valid, order, axis=1), codes, -1)
        first = np.full((len(codes), NUM_CHUNKS * NUM_CHUNKS), codes.shape[1])
        rows = np.arange(len(codes))
        for place in reversed(range(codes.shape[1])):
            real = codes[:, place] >= 0
            first[rows[real], codes[real, place]] = place
        kept = np.sort(first, axis=1)[:, : self.max_kept]
        valid = kept < codes.shape[1]
        chosen = np.minimum(kept, codes.shape[1] - 1)
        spans = decode_segments(np.maximum(np.take_along_axis(codes, chosen, axis=1), 0))
        scores = np.take_along_axis(np.take_along_axis(candidates.scores, order, axis=1), chosen, axis=1)
        return RankedSpans(np.where(valid[..., None], spans, 0.0), np.where(valid, scores, 0.0), valid)

    def compute_figures(self, answers: RankedSpans, truth: PaddedSpans) -> Figures:
        """Return Rank@k as 0 or 1 per query, and the mean IoU. A moment that is not an answer has an infinite rank."""
        found = np.where(answers.valid, encode_segments(answers.spans), -1)  # (Q, K)
        marked = np.where(truth.mask, encode_segments(truth.spans), -2)  # (Q, A)
        same = found[:, :, None] == marked[:, None]  # (Q, K, A)
        ranks = np.where(same.any(axis=1), same.argmax(axis=1) + 1.0, np.inf)  # (Q, A)
        mean_rank = _average_least(np.where(truth.mask, ranks, np.nan))
        first = decode_segments(np.maximum(found[:, 0], 0))
        iou = compute_rowwise_iou(first[:, None], decode_segments(np.maximum(marked, 0)))  # (Q, A)
        iou = np.where(answers.valid[:, :1], iou, 0.0)
        figures = {f"Rank@{rank}": (mean_rank <= rank).astype(np.float64) for rank in self.ranks}
        return figures | {"mIoU": -_average_least(np.where(truth.mask, -iou, np.nan))}


def encode_segments(spans: Floats) -> Ints:
    """Return the nearest run of chunks as one number, 6 * first chunk + last chunk: (..., 2) seconds -> (...)."""
    first = np.clip(np.rint(spans[..., 0] / CHUNK_S), 0, NUM_CHUNKS - 1).astype(np.int64)
    last = np.clip(np.rint(spans[..., 1] / CHUNK_S) - 1, first, NUM_CHUNKS - 1).astype(np.int64)
    codes: Ints = NUM_CHUNKS * first + last
    return codes


def decode_segments(codes: Ints) -> Floats:
    """Return the spans of runs of chunks, with a full last chunk: (...) -> (..., 2) seconds."""
    return np.stack([codes // NUM_CHUNKS, codes % NUM_CHUNKS + 1], axis=-1) * CHUNK_S


def _average_least(values: Floats) -> Floats:
    """Return the mean of the three smallest values of each row, NaN left out: (Q, A) -> (Q,)."""
    least = np.sort(values, axis=1)[:, :NUM_BEST]  # NaN comes last
    real = ~np.isnan(least)
    means: Floats = np.where(real, least, 0.0).sum(axis=1) / np.maximum(real.sum(axis=1), 1)
    return means
