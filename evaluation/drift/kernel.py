"""Maximum mean discrepancy of two sets of vectors, with a permutation p-value.

Letters: N, M rows of the two samples, T = N + M, D width, R permutations.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import pdist, squareform

from corpus.moments import Floats


class Tested(NamedTuple):
    """A statistic, and the probability of one as large if nothing changed."""

    statistic: float
    p_value: float


def compare_mmd(reference: Floats, window: Floats, *, num_permutations: int, rng: np.random.Generator) -> Tested:
    """Return the unbiased squared MMD between samples (N, D) and (M, D) under a Gaussian kernel, and its p-value.

    The bandwidth is the median distance between distinct rows of both. The p-value is (1 + number of permutations with a
    statistic at least as large) / (1 + R): exact for exchangeable rows, and never 0.
    Source: Gretton et al. 2012 (JMLR 13, 723-773), eq. 3 and section 8.

    Raises:
        ValueError: when a sample has fewer than two rows, or the widths differ.
    """
    if min(len(reference), len(window)) < 2 or reference.shape[1:] != window.shape[1:]:
        raise ValueError(f"two samples of at least two rows of one width are needed, got {reference.shape} and {window.shape}")
    kernel = build_kernel(np.concatenate([reference, window]))  # (T, T)
    labels = np.zeros(len(kernel), dtype=bool)
    labels[: len(reference)] = True
    shuffled = rng.permuted(np.tile(labels, (num_permutations, 1)), axis=1)  # (R, T)
    values = compute_mmd(kernel, np.concatenate([labels[None], shuffled]))
    least = values[0] - 1e-12 * abs(values[0])  # rounding must not split ties
    return Tested(float(values[0]), float((1 + (values[1:] >= least).sum()) / (1 + num_permutations)))


def build_kernel(rows: Floats) -> Floats:
    """Return the Gaussian kernel matrix (T, T) with the median distance as bandwidth; all ones if no two rows differ."""
    squared = pdist(rows.astype(np.float64), "sqeuclidean")
    positive = squared[squared > 0]
    bandwidth = float(np.median(positive)) if len(positive) else 1.0
    kernel: Floats = squareform(np.exp(-squared / (2 * bandwidth)))
    np.fill_diagonal(kernel, 1.0)
    return kernel


def compute_mmd(kernel: Floats, labels: NDArray[np.bool_]) -> Floats:
    """Return the unbiased squared MMD (R,) for each row of labels (R, T), true for the first sample."""
    first = labels.astype(np.float64)  # (R, T)
    second = 1 - first
    n, m = first.sum(axis=1), second.sum(axis=1)  # (R,)
    to_first, to_second = first @ kernel, second @ kernel  # (R, T)
    within = ((to_first * first).sum(axis=1) - n) / (n * (n - 1)) + ((to_second * second).sum(axis=1) - m) / (m * (m - 1))
    values: Floats = within - 2 * (to_first * second).sum(axis=1) / (n * m)
    return values
