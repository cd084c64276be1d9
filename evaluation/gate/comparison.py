"""Paired comparisons of two sides: the bound of the main metric, and corrected intervals of the guards.

Letters: Q queries, S bootstrap samples.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

from corpus.moments import Floats, Ints
from models.metrics.intervals import draw_means


class Paired(NamedTuple):
    """Challenger minus champion on the same queries, with an interval over videos; no interval with one video."""

    label: str
    challenger: float
    champion: float
    difference: float
    low: float
    high: float
    num_queries: int
    num_videos: int
    tolerance: float = 0.0

    @property
    def is_harmed(self) -> bool:
        """Whether the whole interval lies below minus the tolerance; an interval that is unknown harms nothing."""
        return bool(self.high < -self.tolerance)


class Pair(NamedTuple):
    """The figures of both sides on the queries of one comparison."""

    label: str
    challenger: Floats  # (Q,)
    champion: Floats  # (Q,)
    videos: Ints  # (Q,)
    tolerance: float = 0.0


def bound_gain(pair: Pair, *, confidence: float, num_samples: int, seed: int) -> Paired:
    """Compare by the percentile bootstrap over videos. `low` is the one-sided bound; `high` is that of the other side."""
    samples = _draw(pair, num_samples=num_samples, seed=seed)
    if samples is None:
        return _describe(pair, np.nan, np.nan)
    low, high = np.quantile(samples, [1 - confidence, confidence])
    return _describe(pair, float(low), float(high))


def bound_guards(pairs: Sequence[Pair], *, confidence: float, num_samples: int, seed: int) -> list[Paired]:
    """Compare several pairs so that all intervals hold together with this confidence.

    Each interval is the difference plus and minus the bootstrap's standard error times the quantile of Student's t with one
    degree of freedom less than there are videos, at the two-sided level of Bonferroni: (1 - confidence) / number of pairs.
    A percentile of the bootstrap would need thousands of samples that far out.
    """
    found = []
    for pair in pairs:
        samples = _draw(pair, num_samples=num_samples, seed=seed)
        if samples is None:
            found.append(_describe(pair, np.nan, np.nan))
            continue
        level = (1 - confidence) / len(pairs)
        reach = float(stats.t.ppf(1 - level / 2, df=_count_videos(pair) - 1)) * float(np.std(samples, ddof=1))
        difference = float((pair.challenger - pair.champion).mean())
        found.append(_describe(pair, difference - reach, difference + reach))
    return found


def _draw(pair: Pair, *, num_samples: int, seed: int) -> Floats | None:
    """Return the mean difference of every bootstrap sample: (S,), None with one video."""
    samples = draw_means({"": pair.challenger - pair.champion}, pair.videos, num_samples=num_samples, seed=seed)
    return None if samples is None else samples[:, 0]


def _count_videos(pair: Pair) -> int:
    return len(np.unique(pair.videos))


def _describe(pair: Pair, low: float, high: float) -> Paired:
    challenger, champion = float(pair.challenger.mean()), float(pair.champion.mean())
    difference = float((pair.challenger - pair.champion).mean())
    counts = len(pair.videos), _count_videos(pair)
    return Paired(pair.label, challenger, champion, difference, low, high, *counts, pair.tolerance)
