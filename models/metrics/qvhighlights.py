"""Convention of QVHighlights (Lei et al. 2021, arXiv:2107.09609, section 4.1) for moments: R1 and mean average precision.

A hit is IoU >= m. R1 takes the first listed answer, regardless of its score, and its highest IoU with a true moment. Average
precision takes the first ten listed answers, ordered by score. Nothing is suppressed or clipped. Each figure exists for all
true moments ("full") and by length: short (0, 10], middle (10, 30], long (30, 150] s. A query counts there with its moments of
that length, and not at all without one.
Evaluators differ in the range of R1 (from IoU 0.3 or 0.5 on) and in the mean IoU; this module reports all of them.
"""

from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from corpus.moments import Floats
from models.metrics.average_precision import compute_average_precision
from models.metrics.convention import Convention, Figures, IoURule
from models.metrics.spans import PaddedSpans, RankedSpans, compute_hull_iou, compute_rowwise_iou

RANGES = MappingProxyType({"short": (0.0, 10.0), "middle": (10.0, 30.0), "long": (30.0, 150.0)})
FULL = "full"
AP_THRESHOLDS = tuple(round(0.5 + 0.05 * step, 2) for step in range(10))
R1_THRESHOLDS = tuple(round(0.3 + 0.05 * step, 2) for step in range(14))


def name_figure(length: str, figure: str) -> str:
    """Return the key of a figure of a length range: `mAP_avg` over all moments, `short_mAP_avg` over the short ones."""
    return figure if length == FULL else f"{length}_{figure}"


@dataclass(frozen=True)
class QVHighlightsConvention(Convention):
    """R1 at IoU 0.3:0.95, mIoU, and average precision at IoU 0.5:0.95 (`mAP_iou0.5`, ...) and its mean (`mAP_avg`)."""

    iou_rule: IoURule = IoURule.AT_LEAST
    max_kept: int = 10
    name: str = "QVHighlights"

    def rank(self, candidates: RankedSpans) -> RankedSpans:
        """Take the first listed candidates."""
        return candidates.keep(self.max_kept)

    def compute_figures(self, answers: RankedSpans, truth: PaddedSpans) -> Figures:
        """Return the figures of every length range. All figures of a query without answers are 0."""
        kept = self.rank(answers)
        figures = self._compute_range(FULL, kept, truth)
        lengths_s = truth.spans[..., 1] - truth.spans[..., 0]  # (Q, G)
        for name, (above_s, up_to_s) in RANGES.items():
            inside = truth.mask & (lengths_s > above_s) & (lengths_s <= up_to_s)
            figures |= self._compute_range(name, kept, PaddedSpans(truth.spans, inside))
        return figures

    def _compute_range(self, length: str, answers: RankedSpans, truth: PaddedSpans) -> dict[str, Floats]:
        has_part = truth.mask.any(axis=1)
        first = compute_first_iou(answers, truth)
        precision = compute_average_precision(answers, truth, thresholds=AP_THRESHOLDS, rule=self.iou_rule)
        figures: dict[str, Floats] = {
            f"R1_iou{threshold:g}": self.iou_rule.is_hit(first, threshold).astype(np.float64) for threshold in R1_THRESHOLDS
        }
        figures |= {f"mAP_iou{threshold:g}": precision[:, place] for place, threshold in enumerate(AP_THRESHOLDS)}
        figures |= {"mAP_avg": precision.mean(axis=1), "mIoU": first}
        return {name_figure(length, name): np.where(has_part, values, np.nan) for name, values in figures.items()}


def compute_first_iou(answers: RankedSpans, truth: PaddedSpans) -> Floats:
    """Return the highest IoU of each query's first answer with a true moment: (Q,), 0 without answer or moment."""
    first = answers.spans[:, 0]
    iou = np.where(truth.mask, compute_rowwise_iou(first[:, None], truth.spans), -1.0)  # (Q, G)
    best = np.take_along_axis(truth.spans, iou.argmax(axis=1)[:, None, None], axis=1)[:, 0]  # (Q, 2)
    return np.where(answers.valid[:, 0] & truth.mask.any(axis=1), compute_hull_iou(first, best), 0.0)
