"""Receiver operating characteristic: curve, area, and the threshold for a given hit rate.

Letters: Q answers, K thresholds. `present` tells for each answer whether there was something to find.
"""

from typing import NamedTuple

import numpy as np

from corpus.moments import Floats
from models.metrics.spans import Bools


class RocCurve(NamedTuple):
    """The shares of answers at or above each threshold, from above the highest score down to the lowest."""

    thresholds: Floats  # (K,), the first is infinity
    hit_rates: Floats  # (K,) among present cases
    false_alarm_rates: Floats  # (K,) among absent cases

    @property
    def area(self) -> float:
        """The probability that a present case scores higher than an absent one; ties count half."""
        return float(np.trapezoid(self.hit_rates, self.false_alarm_rates))


def compute_roc(scores: Floats, present: Bools) -> RocCurve:
    """Return the curve of scores (Q,), with one point per distinct score.

    Raises:
        ValueError: unless there are both present and absent cases.
    """
    if present.all() or not present.any():
        raise ValueError(f"a ROC needs answers of both kinds, got {present.sum()} present of {len(present)}")
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    last = np.append(np.flatnonzero(np.diff(ranked)), len(ranked) - 1)  # of each distinct score
    hits, alarms = np.cumsum(present[order])[last], np.cumsum(~present[order])[last]
    return RocCurve(
        np.concatenate([[np.inf], ranked[last]]),
        np.concatenate([[0.0], hits / present.sum()]),
        np.concatenate([[0.0], alarms / (~present).sum()]),
    )


def choose_threshold(curve: RocCurve, *, hit_rate: float) -> float:
    """Return the highest threshold that a share `hit_rate` in (0, 1] of the present cases reaches."""
    return float(curve.thresholds[np.flatnonzero(curve.hit_rates >= hit_rate)[0]])


def compute_rates(scores: Floats, present: Bools, threshold: float) -> tuple[float, float]:
    """Return the hit rate and the false alarm rate at a threshold."""
    reached = scores >= threshold
    return float(reached[present].mean()), float(reached[~present].mean())
