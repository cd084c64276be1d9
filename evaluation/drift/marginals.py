"""Kolmogorov-Smirnov test of each feature, joined by the false discovery rate; and the test of one number."""

from typing import NamedTuple

import numpy as np
from scipy.stats import false_discovery_control, ks_2samp

from corpus.moments import Floats
from evaluation.drift.kernel import Tested


class Marginals(NamedTuple):
    """Result over all features."""

    p_value: float  # that no feature moved: the smallest adjusted one (Simes)
    moved: tuple[int, ...]  # features whose adjusted p-value is at most the level
    largest: float  # of the KS statistics: the largest gap between two distribution functions, in [0, 1]


def compare_features(reference: Floats, window: Floats, *, level: float) -> Marginals:
    """Compare each column of samples (N, D) and (M, D); adjust by Benjamini and Hochberg.

    The smallest adjusted p-value tests that no feature moved (Simes 1986). It holds its level for independent and for
    positively dependent features, in the sense of Benjamini and Yekutieli 2001.
    """
    tests = [compare_numbers(reference[:, one], window[:, one]) for one in range(reference.shape[1])]
    adjusted = false_discovery_control([one.p_value for one in tests], method="bh")
    moved = tuple(int(one) for one in np.flatnonzero(adjusted <= level))
    return Marginals(float(adjusted.min()), moved, max(one.statistic for one in tests))


def compare_numbers(reference: Floats, window: Floats) -> Tested:
    """Return the two-sample Kolmogorov-Smirnov statistic of two samples of numbers (N,) and (M,), and its p-value.

    The p-value is the asymptotic one, for speed; small samples and ties make it larger than it needs to be.
    """
    found = ks_2samp(reference, window, method="asymp")
    return Tested(float(found.statistic), float(found.pvalue))
