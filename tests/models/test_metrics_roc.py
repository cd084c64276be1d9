"""The ROC curve, its area and the threshold, by hand, against a slow loop, and at the edges."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.metrics.roc import choose_threshold, compute_rates, compute_roc

SCORES = np.array([0.9, 0.8, 0.8, 0.4, 0.1])
PRESENT = np.array([True, True, False, True, False])


def test_the_curve_by_hand() -> None:
    curve = compute_roc(SCORES, PRESENT)
    assert curve.thresholds.tolist() == [np.inf, 0.9, 0.8, 0.4, 0.1]
    np.testing.assert_allclose(curve.hit_rates, [0, 1 / 3, 2 / 3, 1, 1])
    np.testing.assert_allclose(curve.false_alarm_rates, [0, 0, 1 / 2, 1 / 2, 1])
    assert curve.area == pytest.approx((1 + 1 + 0.5 + 1 + 0 + 1) / 6)


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=2, max_size=30))
def test_the_area_is_the_chance_that_the_present_scores_higher(rows: list[tuple[int, bool]]) -> None:
    scores, present = np.array([row[0] for row in rows], dtype=float), np.array([row[1] for row in rows])
    if present.all() or not present.any():
        return
    pairs = [(one, other) for one in scores[present] for other in scores[~present]]
    slow = sum(1.0 if one > other else 0.5 if one == other else 0.0 for one, other in pairs) / len(pairs)
    assert compute_roc(scores, present).area == pytest.approx(slow)
    assert compute_roc(np.exp(scores), present).area == pytest.approx(slow)


@pytest.mark.parametrize(("hit_rate", "expected"), [(0.1, 0.9), (0.5, 0.8), (0.7, 0.4), (1.0, 0.4)])
def test_the_threshold_is_the_highest_that_finds_enough(hit_rate: float, expected: float) -> None:
    assert choose_threshold(compute_roc(SCORES, PRESENT), hit_rate=hit_rate) == expected


def test_rates_count_scores_that_reach_the_threshold() -> None:
    assert compute_rates(SCORES, PRESENT, 0.8) == pytest.approx((2 / 3, 1 / 2))


@pytest.mark.parametrize("present", [np.ones(5, dtype=bool), np.zeros(5, dtype=bool)])
def test_a_curve_of_one_kind_is_refused(present: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"a ROC needs answers of both kinds, got [05] present of 5"):
        compute_roc(SCORES, present)
