"""Reliability bins and the calibration error."""

from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluation.calibration import ReliabilityBin, compute_calibration_error, compute_reliability, fit_logistic, fit_platt
from search.calibration import squash


def test_two_bins_of_a_hand_computed_case() -> None:
    scores, hits = np.array([0.9, 0.1, 0.7, 0.3]), np.array([True, False, False, False])
    low, high = compute_reliability(scores, hits, num_bins=2)
    assert low == (2, pytest.approx(0.2), 0.0)
    assert high == (2, pytest.approx(0.8), 0.5)
    assert compute_calibration_error([low, high]) == pytest.approx((2 * 0.2 + 2 * 0.3) / 4)


def test_scores_that_equal_the_accuracy_of_their_bin_have_no_error() -> None:
    scores = np.repeat([0.25, 0.75], 4)
    hits = np.array([True, False, False, False, True, True, True, False])
    assert compute_calibration_error(compute_reliability(scores, hits, num_bins=2)) == 0.0


def test_equal_scores_share_one_bin() -> None:
    assert compute_reliability(np.full(7, 0.5), np.arange(7) < 3) == [ReliabilityBin(7, 0.5, 3 / 7)]


def test_no_answers_give_no_bins_and_no_error() -> None:
    assert compute_reliability(np.empty(0), np.empty(0, dtype=bool)) == []
    assert compute_calibration_error([]) == 0.0


@given(st.lists(st.tuples(st.sampled_from([0.0, 0.2, 0.4, 0.9, 1.0]), st.booleans()), min_size=1, max_size=40), st.randoms())
def test_bins_hold_every_answer_once_in_the_order_of_scores_whatever_the_order_given(
    answers: list[tuple[float, bool]], random: Random
) -> None:
    def bin_up(rows: list[tuple[float, bool]]) -> list[ReliabilityBin]:
        return compute_reliability(np.array([score for score, _ in rows]), np.array([hit for _, hit in rows]), num_bins=4)

    bins = bin_up(answers)
    assert sum(one.answers for one in bins) == len(answers)
    assert [one.score for one in bins] == sorted(one.score for one in bins)
    shuffled = list(answers)
    random.shuffle(shuffled)
    assert [one.answers for one in bin_up(shuffled)] == [one.answers for one in bins]


def test_scores_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match=r"scores must lie in \[0, 1\], got 0.5 to 1.5"):
        compute_reliability(np.array([0.5, 1.5]), np.array([True, False]))


def test_platt_scaling_finds_the_slope_and_intercept_that_drew_the_hits() -> None:
    generator = np.random.default_rng(0)
    logits = generator.normal(5, 3, 20_000)
    hits = generator.random(len(logits)) < squash(0.5 * logits - 2)
    scaling = fit_platt(logits, hits)
    assert scaling.slope == pytest.approx(0.5, abs=0.03)
    assert scaling.intercept == pytest.approx(-2, abs=0.15)
    assert compute_calibration_error(compute_reliability(scaling.apply(logits), hits)) < 0.02


def test_platt_scaling_is_the_minimum_of_its_cross_entropy() -> None:
    logits, hits = np.array([-1.0, 0.5, 2.0, 3.0, 0.0]), np.array([False, True, True, False, False])
    targets = np.where(hits, 3 / 4, 1 / 5)

    def compute_loss(slope: float, intercept: float) -> float:
        given = squash(slope * logits + intercept)
        return float(-(targets * np.log(given) + (1 - targets) * np.log(1 - given)).sum())

    slope, intercept = fit_platt(logits, hits)
    best = compute_loss(slope, intercept)
    for change in (-0.01, 0.01):
        assert best < compute_loss(slope + change, intercept)
        assert best < compute_loss(slope, intercept + change)


@pytest.mark.parametrize("hits", [np.zeros(4, dtype=bool), np.ones(4, dtype=bool), np.array([False, False, True, True])])
def test_platt_scaling_stays_finite_on_constant_and_perfect_rankings(hits: np.ndarray) -> None:
    for logits in (np.arange(4.0), np.full(4, 7.0)):
        assert np.isfinite(fit_platt(logits, hits)).all()


def test_platt_scaling_refuses_logits_that_are_not_finite() -> None:
    with pytest.raises(ValueError, match="got 2 of which 1 are finite"):
        fit_platt(np.array([1.0, np.nan]), np.array([True, False]))


def test_a_fit_of_two_inputs_finds_the_weights_that_drew_the_hits() -> None:
    generator = np.random.default_rng(0)
    inputs = generator.normal([1, 5], [0.1, 3], (40_000, 2))
    hits = generator.random(len(inputs)) < squash(4 * inputs[:, 0] - 0.5 * inputs[:, 1] - 1)
    np.testing.assert_allclose(fit_logistic(inputs, hits), [4, -0.5, -1], atol=0.3)


def test_an_uninformative_input_gets_no_weight() -> None:
    inputs = np.column_stack([np.arange(6.0), np.full(6, 7.0)])
    hits = np.array([False, False, True, False, True, True])
    slope, nothing, intercept = fit_logistic(inputs, hits)
    assert nothing == pytest.approx(0, abs=1e-9)
    assert (slope, intercept) == pytest.approx(tuple(fit_platt(inputs[:, 0], hits)), abs=1e-6)
