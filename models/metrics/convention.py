"""Interface of public evaluation conventions, which turn candidates into answers and decide which answers count.

Figures map metric names to one value per query (Q,). NaN marks a query outside a figure, such as a figure for moments of
another length. The figure of a table is the mean of the other values.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from enum import Enum

import numpy as np

from corpus.moments import Floats
from models.metrics.spans import Bools, PaddedSpans, RankedSpans

CHANCE_DRAWS = 20
Figures = Mapping[str, Floats]


class IoURule(Enum):
    """Comparison that makes an overlap a hit. There is no default, because published tables differ."""

    ABOVE = ">"  # 2D-TAN
    AT_LEAST = ">="  # Moment-DETR, QVHighlights, CAL, TVR

    def is_hit(self, iou: Floats, threshold: float | Floats) -> Bools:
        """Compare overlaps with a threshold, or with thresholds that broadcast, under this rule."""
        hits: Bools = iou > threshold if self is IoURule.ABOVE else iou >= threshold
        return hits


class Convention(ABC):
    """Evaluation convention that turns candidates into figures. `max_kept` is the number of answers that count."""

    name: str
    iou_rule: IoURule
    max_kept: int

    @abstractmethod
    def rank(self, candidates: RankedSpans) -> RankedSpans:
        """Return the answers of each query, best first."""

    @abstractmethod
    def compute_figures(self, answers: RankedSpans, truth: PaddedSpans) -> Figures:
        """Score the answers of each query against its true moments."""

    def compute_chance(self, candidates: Floats, truth: PaddedSpans) -> Figures:
        """Return the expected figures of answers drawn uniformly from (Q, M, 2) candidates.

        The default is the mean over `CHANCE_DRAWS` lists per query, the same in every call. Conventions with a closed form
        override it.
        """
        rng = np.random.default_rng(0)
        sums: dict[str, Floats] = {}
        for _ in range(CHANCE_DRAWS):
            figures = self.compute_figures(self.rank(_shuffle(candidates, self.max_kept, rng)), truth)
            sums = {name: sums.get(name, 0.0) + values for name, values in figures.items()}
        return {name: values / CHANCE_DRAWS for name, values in sums.items()}


def _shuffle(candidates: Floats, num_drawn: int, rng: np.random.Generator) -> RankedSpans:
    """Draw distinct candidates of each query, with descending scores: (Q, M, 2) -> (Q, K)."""
    keys = rng.random(candidates.shape[:2], dtype=np.float32)
    chosen = np.argsort(keys, axis=1)[:, :num_drawn]  # (Q, K)
    scores = np.broadcast_to(-np.arange(chosen.shape[1], dtype=np.float64), chosen.shape)
    spans = np.take_along_axis(candidates, chosen[..., None], axis=1)
    return RankedSpans(spans, scores, np.ones(chosen.shape, dtype=bool))


def compute_means(figures: Figures) -> dict[str, float]:
    """Return the figures of a table: the mean of each column without NaN; NaN for a column without values."""
    return {name: _compute_mean(values[~np.isnan(values)]) for name, values in figures.items()}


def _compute_mean(values: Floats) -> float:
    return float(values.mean()) if len(values) else float("nan")


def compute_hits(best_iou: Floats, *, rank: int, threshold: float, rule: IoURule) -> Floats:
    """Return 1.0 if one of the first `rank` answers is a hit, else 0.0: best_iou (Q, K) -> (Q,)."""
    hits: Bools = np.any(rule.is_hit(best_iou[:, :rank], threshold), axis=1)
    return np.asarray(hits, dtype=np.float64)
