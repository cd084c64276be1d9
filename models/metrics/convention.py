"""What a public evaluation convention must state: how candidates become answers, and when an answer counts.

Figures are a mapping from metric name to one value per query (Q,); a table's figure is the mean of its column.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from enum import Enum

import numpy as np

from corpus.moments import Floats
from models.metrics.spans import Bools, PaddedSpans, RankedSpans

Figures = Mapping[str, Floats]


class IoURule(Enum):
    """When an overlap counts as a hit. There is no default: published tables differ in it."""

    ABOVE = ">"  # 2D-TAN
    AT_LEAST = ">="  # Moment-DETR, QVHighlights, CAL, TVR

    def is_hit(self, iou: Floats, threshold: float) -> Bools:
        """Compare overlaps with a threshold under this rule."""
        hits: Bools = iou > threshold if self is IoURule.ABOVE else iou >= threshold
        return hits


class Convention(ABC):
    """One way of turning candidates into figures."""

    name: str
    iou_rule: IoURule

    @abstractmethod
    def rank(self, candidates: RankedSpans) -> RankedSpans:
        """Turn the candidates of each query into its answers, best first."""

    @abstractmethod
    def compute_figures(self, answers: RankedSpans, truth: PaddedSpans) -> Figures:
        """Score the answers of each query against its true moments."""

    @abstractmethod
    def compute_chance(self, candidates: Floats, truth: PaddedSpans) -> Figures:
        """Return the expected figures of an answer list drawn uniformly from (Q, M, 2) candidates."""


def compute_hits(best_iou: Floats, *, rank: int, threshold: float, rule: IoURule) -> Floats:
    """Return 1.0 where one of the first `rank` answers is a hit: best_iou (Q, K) -> (Q,)."""
    hits: Bools = np.any(rule.is_hit(best_iou[:, :rank], threshold), axis=1)
    return np.asarray(hits, dtype=np.float64)
