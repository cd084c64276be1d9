"""Tests of counts: categories by chi-square, shares by Fisher's test, and the population stability index of numbers.

Letters: K categories or bins, N, M rows of reference and window, R permutations.
"""

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import fisher_exact

from corpus.moments import Floats
from evaluation.drift.kernel import Tested

Counts = NDArray[np.int64]
OTHERS = "(others)"
NUM_BINS = 10


def compare_categories(reference: Counts, window: Counts, *, num_permutations: int, rng: np.random.Generator) -> Tested:
    """Return Pearson's chi-square of two rows of counts (K,), and its p-value over permutations, which small counts allow."""
    return _permute(reference, window, compute_chi_square, num_permutations=num_permutations, rng=rng)


def compare_stability(reference: Floats, window: Floats, *, num_permutations: int, rng: np.random.Generator) -> Tested:
    """Return the population stability index of numbers (N,) and (M,) in ten bins, and its p-value over permutations.

    Rule of thumb of the field: below 0.1 stable, above 0.2 changed. Deviation: the bins are deciles of both samples together,
    not of the reference, because then permutations of the rows leave them alone and the p-value is exact.
    """
    edges = find_edges(np.concatenate([reference, window]))
    return _permute(count(reference, edges), count(window, edges), compute_psi, num_permutations=num_permutations, rng=rng)


def compare_shares(reference: tuple[int, int], window: tuple[int, int]) -> Tested:
    """Compare two (hits, total) by Fisher's exact test, two-sided; the statistic is the share of the window minus the other."""
    (old, num_old), (new, num_new) = reference, window
    p_value = fisher_exact(np.array([[old, num_old - old], [new, num_new - new]])).pvalue
    return Tested(new / num_new - old / num_old, float(p_value))


def count_categories(reference: Sequence[str], window: Sequence[str], *, most: int) -> tuple[list[str], Counts, Counts]:
    """Return the most frequent categories of both samples together, the rest as others, and the counts of each sample."""
    both = Counter([*reference, *window])
    names = [name for name, _ in sorted(both.items(), key=lambda item: (-item[1], item[0]))[:most]]
    has_others = len(both) > len(names)
    rows = []
    for sample in (reference, window):
        known = Counter(name if name in names else OTHERS for name in sample)
        rows.append(np.array([known[name] for name in [*names, OTHERS][: len(names) + has_others]], dtype=np.int64))
    return [*names, OTHERS][: len(names) + has_others], rows[0], rows[1]


def compute_chi_square(reference: Counts, window: Counts) -> Floats:
    """Return Pearson's chi-square of counts (..., K) against (..., K); categories that are empty in both add nothing."""
    total = reference + window
    n, m = reference.sum(-1, keepdims=True), window.sum(-1, keepdims=True)
    parts = []
    for counts, size in ((reference, n), (window, m)):
        expected = total * size / (n + m)
        parts.append(np.divide((counts - expected) ** 2, expected, out=np.zeros(expected.shape), where=expected > 0).sum(-1))
    value: Floats = parts[0] + parts[1]
    return value


def compute_psi(reference: Counts, window: Counts) -> Floats:
    """Return sum of (p - q) ln(p / q) over bins, for counts (..., K); half a row is added to each bin, so none is empty."""
    p, q = ((counts + 0.5) / (counts.sum(-1, keepdims=True) + 0.5 * counts.shape[-1]) for counts in (window, reference))
    value: Floats = ((p - q) * np.log(p / q)).sum(-1)
    return value


def find_edges(numbers: Floats) -> Floats:
    """Return the inner edges of ten bins of about equal counts; fewer if numbers repeat."""
    ends = np.arange(1, NUM_BINS) * len(numbers) // NUM_BINS - 1  # the last row of each bin
    return np.unique(np.sort(numbers)[np.maximum(ends, 0)])


def count(numbers: Floats, edges: Floats) -> Counts:
    """Return how many numbers lie in each bin; an edge belongs to the bin below it."""
    return np.bincount(np.searchsorted(edges, numbers, side="left"), minlength=len(edges) + 1)


def _permute(
    reference: Counts,
    window: Counts,
    statistic: Callable[[Counts, Counts], Floats],
    *,
    num_permutations: int,
    rng: np.random.Generator,
) -> Tested:
    """Return a statistic of counts, and its p-value when rows change samples: counts are then hypergeometric."""
    total = reference + window
    drawn = rng.multivariate_hypergeometric(total, int(window.sum()), size=num_permutations)  # (R, K)
    own = float(statistic(reference, window))
    larger = int((statistic(total - drawn, drawn) >= own - 1e-9).sum())
    return Tested(own, (1 + larger) / (1 + num_permutations))
