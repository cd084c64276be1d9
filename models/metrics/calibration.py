"""Whether scores mean what they say: the reliability diagram and the expected calibration error.

Source: Guo et al. 2017 (arXiv:1706.04599), section 2 and eq. 3. Deviation: bins hold equally many answers instead of
equally wide ranges of score, so that no bin rests on a handful of answers.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from corpus.moments import Floats
from models.metrics.spans import Bools


class ReliabilityBin(NamedTuple):
    """Answers of similar score: how many, their mean score, and the share of them that is right."""

    count: int
    score: float
    accuracy: float


def compute_reliability(scores: Floats, hits: Bools, *, num_bins: int = 10) -> list[ReliabilityBin]:
    """Return bins of answers in the order of their scores in [0, 1]: (Q,), (Q,) -> at most `num_bins` bins, none of them empty.

    Answers of equal score share a bin, so that the result does not depend on the order of the answers.

    Raises:
        ValueError: when a score is not in [0, 1], or there are more or fewer hits than scores.
    """
    if scores.shape != hits.shape:
        raise ValueError(f"each score needs its hit, got scores {scores.shape}, hits {hits.shape}")
    if len(scores) and not (np.isfinite(scores).all() and scores.min() >= 0 and scores.max() <= 1):
        raise ValueError(f"scores must lie in [0, 1], got {scores.min()} to {scores.max()}")
    order = np.argsort(scores, kind="stable")
    ranked = scores[order]
    places = [round(number * len(ranked) / num_bins) for number in range(1, num_bins)]
    edges = {int(np.searchsorted(ranked, ranked[place])) for place in places if place < len(ranked)} - {0}
    parts = np.split(order, sorted(edges))
    return [ReliabilityBin(len(part), float(scores[part].mean()), float(hits[part].mean())) for part in parts if len(part)]


def compute_calibration_error(bins: Sequence[ReliabilityBin]) -> float:
    """Return the mean distance between score and accuracy, weighted by the answers of each bin; 0 without answers."""
    total = sum(one.count for one in bins)
    return sum(one.count * abs(one.score - one.accuracy) for one in bins) / total if total else 0.0
