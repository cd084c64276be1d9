"""Normalised discounted cumulative gain of collection search, with several moments of graded relevance.

Source: NDCG@K, IoU = m of TVR-Ranking (Liang et al. 2024, arXiv:2407.06597), with gain 2^relevance - 1 (Burges et al. 2005).
In order, each answer takes the free moment of its video with the highest IoU; if that is a hit, the answer gets its relevance.
Deviation: the hit rule is an argument; the published code counts IoU > m.
Letters: Q queries, K answers, G true moments.
"""

import numpy as np

from corpus.moments import Floats
from models.metrics.collection import CollectionAnswers, CollectionTruth
from models.metrics.convention import IoURule
from models.metrics.spans import compute_rowwise_iou


def compute_ndcg(
    answers: CollectionAnswers, truth: CollectionTruth, relevance: Floats, *, rank: int, threshold: float, rule: IoURule
) -> Floats:
    """Return the NDCG of the first `rank` answers: (Q,) in [0, 1], 0 without relevant moments. `relevance` is (Q, G)."""
    gains = np.where(truth.videos >= 0, 2.0**relevance - 1.0, 0.0)  # (Q, G)
    free = truth.videos >= 0
    rows = np.arange(len(free))
    total = np.zeros(len(free))
    for place in range(min(rank, answers.videos.shape[1])):
        same = free & (truth.videos == answers.videos[:, place, None])
        iou = np.where(same, compute_rowwise_iou(answers.spans[:, place, None], truth.spans), -1.0)  # (Q, G)
        best = iou.argmax(axis=1)
        hit = rule.is_hit(iou[rows, best], threshold) & same[rows, best]
        free[rows, best] &= ~hit
        total += np.where(hit, gains[rows, best], 0.0) / np.log2(place + 2)
    ideal = -np.sort(-gains, axis=1)[:, :rank]
    best_total = (ideal / np.log2(np.arange(ideal.shape[1]) + 2)).sum(axis=1)
    shares: Floats = np.divide(total, best_total, out=np.zeros(len(total)), where=best_total > 0)
    return shares
