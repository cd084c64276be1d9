"""Drift statistics agree with hand-computed cases and references, and hold their level."""

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import chi2_contingency

from corpus.moments import Floats
from evaluation.drift.counts import (
    OTHERS,
    compare_categories,
    compare_shares,
    compare_stability,
    compute_chi_square,
    compute_psi,
    count,
    count_categories,
    find_edges,
)
from evaluation.drift.domain_classifier import compare_by_classifier
from evaluation.drift.kernel import build_kernel, compare_mmd, compute_mmd
from evaluation.drift.marginals import compare_features, compare_numbers

Rng = np.random.Generator


def draw(rows: int, *, shift: float = 0.0, width: int = 4, seed: int = 0) -> Floats:
    return np.random.default_rng(seed).normal(shift, 1.0, (rows, width))


def test_mmd_is_the_sum_of_its_definition() -> None:
    rows = draw(9)
    kernel, labels = build_kernel(rows), np.arange(9) < 4
    within = sum(
        kernel[i, j] / (n * (n - 1)) for n, part in ((4, range(4)), (5, range(4, 9))) for i, j in itertools.permutations(part, 2)
    )
    between = sum(kernel[i, j] for i in range(4) for j in range(4, 9)) / 20
    assert compute_mmd(kernel, labels[None])[0] == pytest.approx(within - 2 * between)


def test_the_bandwidth_is_the_median_distance() -> None:
    kernel = build_kernel(np.array([[0.0], [1.0], [3.0]]))  # squared distances 1, 9 and 4: median 4
    assert kernel[0] == pytest.approx([1, math.exp(-1 / 8), math.exp(-9 / 8)])
    assert (build_kernel(np.zeros((3, 2))) == 1).all()


def test_mmd_by_hand_on_two_pairs() -> None:
    kernel = build_kernel(np.array([[0.0], [0.0], [1.0], [1.0]]))
    assert compute_mmd(kernel, np.array([[True, True, False, False]]))[0] == pytest.approx(2 - 2 * math.exp(-0.5))


def test_a_common_shift_is_found_by_every_test_of_vectors() -> None:
    old, new = draw(200), draw(200, shift=0.5, seed=1)
    assert compare_mmd(old, new, num_permutations=199, rng=np.random.default_rng(0)).p_value == pytest.approx(1 / 200)
    found = compare_features(old, new, level=0.05)
    assert (len(found.moved), found.p_value < 0.001) == (4, True)
    told = compare_by_classifier(old, new, rng=np.random.default_rng(0))
    assert told.statistic == pytest.approx(0.76, abs=0.06)  # of the sum of four unit shifts of 0.5: Phi(1 / sqrt 2)
    assert told.p_value < 0.001


VectorTest = Callable[[Floats, Floats, Rng], float]


@pytest.mark.slow
@pytest.mark.parametrize(
    "test",
    [
        lambda a, b, rng: compare_mmd(a, b, num_permutations=99, rng=rng).p_value,
        lambda a, b, rng: compare_features(a, b, level=0.05).p_value,
        lambda a, b, rng: compare_by_classifier(a, b, rng=rng).p_value,
        lambda a, b, rng: compare_stability(a[:, 0], b[:, 0], num_permutations=199, rng=rng).p_value,
        lambda a, b, rng: compare_shares((int((a[:, 0] > 1).sum()), 60), (int((b[:, 0] > 1).sum()), 40)).p_value,
    ],
    ids=["mmd", "features", "classifier", "psi", "shares"],
)
def test_equal_distributions_are_told_apart_in_at_most_16_of_200_draws(test: VectorTest) -> None:
    rng = np.random.default_rng(7)
    alarms = sum(test(rng.normal(size=(60, 4)), rng.normal(size=(40, 4)), rng) <= 0.05 for _ in range(200))
    assert alarms <= 16


def test_the_gap_of_two_distribution_functions_by_hand() -> None:
    assert compare_numbers(np.array([1.0, 2, 3, 4]), np.array([3.5, 5, 6, 7])).statistic == 0.75


def test_one_moved_feature_among_many_is_named() -> None:
    old, new = draw(150, width=20), draw(150, width=20, seed=1)
    new[:, 7] += 1
    assert compare_features(old, new, level=0.05).moved == (7,)


def test_chi_square_is_that_of_scipy() -> None:
    old, new = np.array([30, 14, 6]), np.array([10, 12, 18])
    known = chi2_contingency(np.stack([old, new]), correction=False)
    found = compare_categories(old, new, num_permutations=9999, rng=np.random.default_rng(0))
    assert found.statistic == pytest.approx(known.statistic)
    assert found.p_value == pytest.approx(known.pvalue, abs=0.002)
    assert compute_chi_square(np.array([5, 0]), np.array([7, 0])) == 0


def test_psi_by_hand() -> None:
    assert compute_psi(np.array([10, 30]), np.array([10, 30])) == 0
    p, q = 30.5 / 41, 10.5 / 41
    assert compute_psi(np.array([10, 30]), np.array([30, 10])) == pytest.approx(2 * (p - q) * math.log(p / q))


def test_bins_hold_equal_counts_and_repeated_numbers_share_one() -> None:
    numbers = np.arange(100.0)
    assert (count(numbers, find_edges(numbers)) == 10).all()
    words = np.repeat([3.0, 4.0, 9.0], [50, 30, 20])
    assert count(words, find_edges(words)).tolist()[:3] == [50, 30, 20]


def test_a_share_by_hand() -> None:
    found = compare_shares((1, 10), (9, 10))  # hypergeometric: 2 (10 * 10 + 1) / C(20, 10)
    assert found.statistic == pytest.approx(0.8)
    assert found.p_value == pytest.approx(2 * (10 * 10 + 1) / math.comb(20, 10))


def test_rare_categories_are_joined() -> None:
    names, old, new = count_categories(["a", "a", "b", "c"], ["a", "d"], most=2)
    assert (names, old.tolist(), new.tolist()) == (["a", "b", OTHERS], [2, 1, 1], [1, 0, 1])


def test_samples_of_other_widths_are_refused() -> None:
    with pytest.raises(ValueError, match=r"got \(5, 4\) and \(5, 3\)"):
        compare_mmd(draw(5), draw(5, width=3), num_permutations=9, rng=np.random.default_rng(0))
