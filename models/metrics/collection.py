"""Collection search metrics: an answer (video, span) is right if it overlaps a true moment of the query in that video.

Letters: Q queries, K answers of a query, G true moments of a query in all videos, V videos of the collection.
"""

from functools import lru_cache
from math import comb
from typing import NamedTuple

import numpy as np

from corpus.moments import Floats, Ints
from models.metrics.convention import Figures, IoURule
from models.metrics.spans import Bools, compute_rowwise_iou

RANKS = (1, 10, 100)


class CollectionTruth(NamedTuple):
    """All true moments of each query, in its own video and in others."""

    videos: Ints  # (Q, G) index of the video, -1 where masked
    spans: Floats  # (Q, G, 2)


class CollectionAnswers(NamedTuple):
    """The answers of a search, best first."""

    videos: Ints  # (Q, K) index of the video, -1 after the last answer
    spans: Floats  # (Q, K, 2)


def compute_collection_hits(answers: CollectionAnswers, truth: CollectionTruth, *, threshold: float, rule: IoURule) -> Bools:
    """Return the mask of right answers: (Q, K)."""
    hits = np.zeros(answers.videos.shape, dtype=bool)
    for column in range(truth.videos.shape[1]):
        there = (answers.videos == truth.videos[:, None, column]) & (answers.videos >= 0)
        iou = compute_rowwise_iou(answers.spans, truth.spans[:, None, column])
        hits |= there & rule.is_hit(iou, threshold)
    return hits


def compute_first_ranks(hits: Bools) -> Floats:
    """Return the rank, from 1, of the first right answer: (Q, K) -> (Q,), infinity without any."""
    first = hits.argmax(axis=1) + 1.0
    return np.where(hits.any(axis=1), first, np.inf)


def compute_collection_figures(first_ranks: Floats) -> Figures:
    """Return R@{1, 10, 100} as 0 or 1 per query."""
    return {f"R{rank}": (first_ranks <= rank).astype(np.float64) for rank in RANKS}


def compute_right_video(answers: CollectionAnswers, truth: CollectionTruth) -> Floats:
    """Return 1.0 if a video with a true moment is among the answers, else 0.0: (Q,)."""
    same = (answers.videos[:, :, None] == truth.videos[:, None, :]) & (truth.videos[:, None, :] >= 0)
    right: Bools = same.any(axis=(1, 2))
    return right.astype(np.float64)


def compute_collection_chance(num_hits: Ints, *, num_candidates: int, num_kept: int) -> Figures:
    """Return the exact expected recall per query of a uniformly random search. `num_hits` (Q, V) counts right candidates.

    Every video contributes `num_kept` of its `num_candidates` candidates, drawn uniformly without suppression. The V * num_kept
    answers are ranked in random order: the same cut-off per video as the search, without a first stage.
    """
    kept = min(num_kept, num_candidates)
    figures = {f"R{rank}": np.zeros(len(num_hits)) for rank in RANKS}
    for row, of_query in enumerate(num_hits):
        hits = tuple(sorted(int(count) for count in of_query if count))
        for rank in RANKS:
            figures[f"R{rank}"][row] = 1.0 - _compute_miss(hits, len(of_query), num_candidates, kept, rank)
    return figures


@lru_cache(maxsize=4096)
def _compute_miss(hits: tuple[int, ...], num_videos: int, num_candidates: int, kept: int, rank: int) -> float:
    """Return the probability that the first `rank` answers contain no hit.

    The number of first places per video follows a multivariate hypergeometric distribution, and a video with n places misses
    with probability C(M - h, n) / C(M, n). The sum over all distributions is a coefficient of a product of polynomials.
    """
    drawn = min(rank, num_videos * kept)
    product = np.ones(1)
    for count in hits:
        miss = [comb(num_candidates - count, n) / comb(num_candidates, n) for n in range(kept + 1)]
        product = np.convolve(product, [comb(kept, n) * value for n, value in enumerate(miss)])
    others = kept * (num_videos - len(hits))
    everything = comb(kept * num_videos, drawn)
    terms = [product[n] * (comb(others, drawn - n) / everything) for n in range(min(drawn + 1, len(product)))]
    return float(sum(terms))
