"""Convention of TVR (Lei et al. 2020, arXiv:2001.09099, section 5): R@{1, 5, 10, 100} at IoU >= 0.5 and 0.7.

SVMR searches the given video, VCMR all videos (a hit is in the right video), and VR looks only for the right video. The first
100 listed answers count. If a query has moments of four or more annotators, as in DiDeMo, a hit overlaps two of them.
Like the public evaluator, this module computes in single precision over the hull of both spans.
Letters: Q queries, K answers, G true moments or annotators.
"""

from dataclasses import dataclass

import numpy as np

from corpus.moments import Floats, Ints
from models.metrics.convention import Convention, Figures, IoURule
from models.metrics.spans import Bools, PaddedSpans, RankedSpans, compute_hull_iou, rank_spans

NUM_PEOPLE, NUM_AGREEING = 4, 2  # with at least 4 annotators, a hit overlaps the moments of 2


def count_needed(num_people: Ints) -> Ints:
    """Return the number of moments that a hit must overlap, (Q,); `num_people` (Q,) counts annotators, 0 without any."""
    return np.where(num_people >= NUM_PEOPLE, NUM_AGREEING, 1)


@dataclass(frozen=True)
class TvrConvention(Convention):
    """R@n at IoU m in the given video. `max_iou` is the suppression threshold; None takes answers as listed."""

    max_iou: float | None = None
    iou_rule: IoURule = IoURule.AT_LEAST
    max_kept: int = 100
    ranks: tuple[int, ...] = (1, 5, 10, 100)
    thresholds: tuple[float, ...] = (0.5, 0.7)
    name: str = "TVR"

    def rank(self, candidates: RankedSpans) -> RankedSpans:
        """Suppress overlaps if `max_iou` is set, and take the first answers."""
        if self.max_iou is not None:
            return rank_spans(candidates, max_iou=self.max_iou, max_kept=self.max_kept)
        return candidates.keep(self.max_kept)

    def compute_figures(self, answers: RankedSpans, truth: PaddedSpans) -> Figures:
        """Return R@n at IoU m as 0 or 1 per query; any true moment counts."""
        return self.compute_recall(answers.spans, answers.valid, truth, np.ones(len(truth.mask), dtype=np.int64))

    def compute_video_figures(self, videos: Ints, own: Ints) -> Figures:
        """Return whether the right video is among the first n distinct videos: (Q, K), (Q,)."""
        return self._count({"R{rank}": videos[:, : self.max_kept] == own[:, None]})

    def compute_recall(self, spans: Floats, may_hit: Bools, truth: PaddedSpans, needed: Ints) -> Figures:
        """Return R@n at IoU m: spans (Q, K, 2), mask of spans in the right video (Q, K), moments needed for a hit (Q,)."""
        spans, may_hit = spans[:, : self.max_kept].astype(np.float32), may_hit[:, : self.max_kept]
        hits = {f"R{{rank}}_iou{threshold:g}": np.zeros(may_hit.shape, dtype=np.int64) for threshold in self.thresholds}
        for person in range(truth.mask.shape[1]):
            iou = compute_hull_iou(spans, truth.spans[:, None, person].astype(np.float32))  # (Q, K)
            for key, threshold in zip(hits, self.thresholds, strict=True):
                hits[key] += self.iou_rule.is_hit(iou, threshold) & truth.mask[:, None, person]
        return self._count({key: (count >= needed[:, None]) & may_hit for key, count in hits.items()})

    def _count(self, hits: dict[str, Bools]) -> Figures:
        return {
            key.format(rank=rank): np.any(of_key[:, :rank], axis=1).astype(np.float64)
            for key, of_key in hits.items()
            for rank in self.ranks
        }
