"""Convention of 2D-TAN (arXiv:1912.03590, AAAI 2020): R@n at IoU m after non-maximum suppression, and mIoU.

The published code counts IoU > m (strict), suppresses with IoU > a threshold that differs between data sets (0.4 to 0.5),
and calls mIoU the mean IoU of the first answer after suppression. Several true moments: the best match counts.
Deviation: candidates that a model marks as not valid are never answers; the published code leaves them at the tail with score 0.
"""

from dataclasses import dataclass

import numpy as np

from corpus.moments import Floats
from models.metrics.convention import Convention, Figures, IoURule, compute_hits
from models.metrics.spans import PaddedSpans, RankedSpans, compute_best_iou, iterate_chunks, rank_spans

MEAN_IOU = "mIoU"


def name_recall(rank: int, threshold: float) -> str:
    """Return the key of R@rank at an IoU threshold, for instance `R1_iou0.5`."""
    return f"R{rank}_iou{threshold:g}"


@dataclass(frozen=True)
class Tan2dConvention(Convention):
    """R@{1, 5} at IoU {0.3, 0.5, 0.7} and mIoU. `max_iou` is the threshold of the suppression, `max_kept` the answers kept."""

    iou_rule: IoURule
    max_iou: float
    max_kept: int = 5
    ranks: tuple[int, ...] = (1, 5)
    thresholds: tuple[float, ...] = (0.3, 0.5, 0.7)
    name: str = "2D-TAN"

    def rank(self, candidates: RankedSpans) -> RankedSpans:
        """Sort by score and suppress overlaps."""
        return rank_spans(candidates, max_iou=self.max_iou, max_kept=self.max_kept)

    def compute_figures(self, answers: RankedSpans, truth: PaddedSpans) -> Figures:
        """Return R@n at IoU m as 0 or 1 per query, and the IoU of the first answer. A query without answers is a miss."""
        best = np.where(answers.valid, compute_best_iou(answers.spans, truth), -1.0)  # (Q, K)
        figures = {
            name_recall(rank, threshold): compute_hits(best, rank=rank, threshold=threshold, rule=self.iou_rule)
            for rank in self.ranks
            for threshold in self.thresholds
        }
        return figures | {MEAN_IOU: np.maximum(best[:, 0], 0.0)}

    def compute_chance(self, candidates: Floats, truth: PaddedSpans) -> Figures:
        """Return exact expectations over a uniformly random order of all candidates, without suppression.

        With h hits among M candidates, R@1 is h / M and R@n is 1 - C(M - h, n) / C(M, n) (hypergeometric).
        """
        shares: dict[str, list[Floats]] = {}
        for rows in iterate_chunks(len(candidates), candidates.shape[1]):
            best = compute_best_iou(candidates[rows], PaddedSpans(truth.spans[rows], truth.mask[rows]))  # (C, M)
            shares.setdefault(MEAN_IOU, []).append(best.mean(axis=1))
            for threshold in self.thresholds:
                num_hits = self.iou_rule.is_hit(best, threshold).sum(axis=1)
                for rank in self.ranks:
                    expected = compute_draw_recall(num_hits, best.shape[1], rank)
                    shares.setdefault(name_recall(rank, threshold), []).append(expected)
        return {name: np.concatenate(parts) for name, parts in shares.items()}


def compute_draw_recall(num_hits: Floats, num_candidates: int, num_drawn: int) -> Floats:
    """Return the probability that a draw without replacement contains a hit: 1 - C(M - h, n) / C(M, n), for each h of (Q,)."""
    drawn = np.arange(min(num_drawn, num_candidates))  # (n,)
    misses = np.clip(num_candidates - num_hits[:, None] - drawn, 0, None) / (num_candidates - drawn)  # (Q, n)
    recall: Floats = 1.0 - misses.prod(axis=1)
    return recall
