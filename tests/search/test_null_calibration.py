"""Null calibration: cases by hand, agreement with slow loops, and order of confidences."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.moments import Floats
from search.null_calibration import (
    LEAST_VIDEOS,
    PRIOR_VIDEOS,
    assess_null,
    compute_null_standings,
    compute_p_values,
    compute_standings,
    convert_p_values,
    measure_background,
)

VALUES = st.floats(-3, 3).map(lambda value: round(value, 1))  # with ties
BANK = np.random.default_rng(0).normal(size=(7, 12))


def test_p_values_and_confidences_by_hand() -> None:
    null = np.array([1.0, 2.0, 2.0, 3.0])
    p_values = compute_p_values(np.array([0.0, 2.0, 3.0, 4.0]), null)
    assert p_values.tolist() == [1.0, 4 / 5, 2 / 5, 1 / 5]  # equal values count as at or above
    # the area 3/4 gives a = 1/3; f(1/5) = (1/3) * (1/5)^(-2/3) = 0.97467
    odds = (1 / 3) * (1 / 5) ** (-2 / 3)
    assert odds == pytest.approx(0.97467, abs=1e-5)
    assert convert_p_values(np.array([1 / 5, 1.0]), auc=0.75) == pytest.approx([odds / (1 + odds), 0.25])


def test_an_area_of_one_half_or_less_is_no_evidence() -> None:
    p_values = np.array([0.01, 0.2, 1.0])
    for area in (0.5, 0.3):
        np.testing.assert_allclose(convert_p_values(p_values, auc=area), 0.5)
    assert np.isfinite(convert_p_values(p_values, auc=1.0)).all()


def test_the_density_of_an_area_has_that_area() -> None:
    area = 0.8
    shape = (1 - area) / area
    drawn = np.random.default_rng(0).random((2, 4000))
    present, absent = drawn[0] ** (1 / shape), drawn[1]  # p = u^(1/a) has the density a p^(a - 1)
    assert np.mean(present[:, None] < absent[None, :]) == pytest.approx(area, abs=0.01)
    p_values = np.concatenate([present, absent])
    confidences = convert_p_values(p_values, auc=area)
    for low, high in ((0.0, 0.4), (0.4, 0.7), (0.7, 1.0)):
        rows = (confidences >= low) & (confidences < high)
        assert confidences[rows].mean() == pytest.approx((np.arange(8000) < 4000)[rows].mean(), abs=0.03)


@given(evidence=st.lists(VALUES, min_size=1, max_size=5), null=st.lists(VALUES, max_size=8))
def test_p_values_equal_a_loop(evidence: list[float], null: list[float]) -> None:
    slow = [(1 + sum(other >= value for other in null)) / (1 + len(null)) for value in evidence]
    np.testing.assert_allclose(compute_p_values(np.array(evidence), np.array(null)), slow)


def list_standing(score: float, others: list[float], bank: Floats | None) -> float:
    """Return the standing of one score by a loop: each value of the bank counts `PRIOR_VIDEOS` over the bank's size."""
    weighted = [(value, 1.0) for value in others]
    if bank is not None:
        weighted += [(float(value), PRIOR_VIDEOS / bank.size) for value in bank.ravel()]
    total = sum(weight for _, weight in weighted)
    if total < LEAST_VIDEOS - 1e-9:
        return 0.0
    mean = sum(weight * value for value, weight in weighted) / total
    variance = sum(weight * (value - mean) ** 2 for value, weight in weighted) / total
    return (score - mean) / max(math.sqrt(variance), 1e-6)


@pytest.mark.parametrize("num_videos", [0, 1, 7, 8, 20])
def test_standings_equal_a_loop_with_and_without_the_bank(num_videos: int) -> None:
    generator = np.random.default_rng(num_videos)
    scores, others = generator.normal(size=3), generator.normal(size=(3, num_videos))
    for bank in (None, BANK):
        found = compute_standings(scores, others) if bank is None else compute_standings(scores, others, measure_background(bank))
        slow = [list_standing(score, row.tolist(), bank) for score, row in zip(scores, others, strict=True)]
        np.testing.assert_allclose(found, slow, atol=1e-9)


def test_null_standings_compare_each_sentence_of_the_bank_with_its_scores_in_other_videos() -> None:
    found = compute_null_standings(BANK).reshape(12, 7)
    for video in range(12):
        for row in range(7):
            others = [float(value) for column, value in enumerate(BANK[row]) if column != video]
            assert found[video, row] == pytest.approx(list_standing(float(BANK[row, video]), others, BANK))


def test_a_shift_or_scale_of_all_scores_changes_no_standing() -> None:
    moved = compute_null_standings(3 * BANK + 5)
    np.testing.assert_allclose(moved, compute_null_standings(BANK), atol=1e-9)


@given(null=st.lists(VALUES, max_size=30), low=VALUES, high=VALUES, auc=st.one_of(st.none(), st.floats(0, 1)))
def test_more_evidence_never_has_less_confidence(null: list[float], low: float, high: float, auc: float | None) -> None:
    pair = np.sort([low, high])
    least, most = (
        float(assess_null(pair[row : row + 1], np.array(null), assumed_auc=0.7, auc=auc).confidences[0]) for row in (0, 1)
    )
    assert 0 <= least <= most <= 1


def test_a_moment_has_no_more_confidence_than_one_before_it() -> None:
    said = assess_null(np.array([1.0, 3.0, 0.0]), np.arange(30) / 10, assumed_auc=0.7, auc=0.8)
    assert said.confidences[1] == said.confidences[0] > said.confidences[2]
    assert (said.threshold, said.auc) == (0.5, 0.8)


def test_nothing_has_more_confidence_than_the_bank_can_show() -> None:
    certain = assess_null(np.array([99.0]), np.zeros(19), assumed_auc=0.7)
    assert certain.confidences[0] == pytest.approx(convert_p_values(np.array([0.05]), auc=0.7)[0])
    assert certain.auc is None  # assumed, not measured
