"""Figures of the 2D-TAN convention, by hand and against slow loops."""

from itertools import combinations

import numpy as np
import pytest

from corpus.moments import Moment, compute_iou
from models.metrics.convention import IoURule
from models.metrics.floors import build_unit_cells
from models.metrics.spans import RankedSpans, pad_moments
from models.metrics.tan2d import Tan2dConvention, compute_draw_recall

TRUTH = pad_moments([[Moment(0, 10)], [Moment(0, 10)], [Moment(0, 10)]])
ANSWERS = RankedSpans(
    spans=np.array([[[0.0, 5.0], [0.0, 10.0]], [[20.0, 30.0], [0.0, 4.0]], [[10.0, 20.0], [0.0, 0.0]]]),
    scores=np.array([[2.0, 1.0], [2.0, 1.0], [1.0, 0.0]]),
    valid=np.array([[True, True], [True, True], [True, False]]),
)


def test_an_overlap_of_exactly_one_half_counts_only_under_at_least() -> None:
    at_least = Tan2dConvention(iou_rule=IoURule.AT_LEAST, max_iou=0.5).compute_figures(ANSWERS, TRUTH)
    above = Tan2dConvention(iou_rule=IoURule.ABOVE, max_iou=0.5).compute_figures(ANSWERS, TRUTH)
    assert at_least["R1_iou0.5"].tolist() == [1.0, 0.0, 0.0]
    assert above["R1_iou0.5"].tolist() == [0.0, 0.0, 0.0]


def test_recall_at_five_looks_at_all_answers_and_mean_iou_at_the_first() -> None:
    figures = Tan2dConvention(iou_rule=IoURule.ABOVE, max_iou=0.5).compute_figures(ANSWERS, TRUTH)
    assert figures["R5_iou0.3"].tolist() == [1.0, 1.0, 0.0]
    assert figures["R5_iou0.7"].tolist() == [1.0, 0.0, 0.0]
    assert figures["mIoU"].tolist() == [0.5, 0.0, 0.0]


def test_no_answer_is_a_miss_even_at_threshold_zero() -> None:
    nothing = RankedSpans(np.zeros((1, 1, 2)), np.zeros((1, 1)), np.zeros((1, 1), dtype=bool))
    convention = Tan2dConvention(iou_rule=IoURule.AT_LEAST, max_iou=0.5, thresholds=(0.0,))
    assert convention.compute_figures(nothing, pad_moments([[Moment(0, 1)]]))["R1_iou0"].tolist() == [0.0]


def test_recall_grows_with_rank_and_falls_with_the_threshold() -> None:
    rng = np.random.default_rng(0)
    spans = np.sort(rng.random((40, 5, 2)), axis=-1)
    answers = RankedSpans(spans, np.zeros((40, 5)), np.ones((40, 5), dtype=bool))
    truth = pad_moments([[Moment(0.1, 0.5 + 0.4 * rng.random())] for _ in range(40)])
    figures = Tan2dConvention(iou_rule=IoURule.ABOVE, max_iou=0.5).compute_figures(answers, truth)
    for threshold in ("0.3", "0.5", "0.7"):
        assert (figures[f"R5_iou{threshold}"] >= figures[f"R1_iou{threshold}"]).all()
    assert (figures["R1_iou0.3"] >= figures["R1_iou0.5"]).all()
    assert (figures["R1_iou0.5"] >= figures["R1_iou0.7"]).all()


def test_the_same_answers_in_another_order_of_queries_give_the_same_figures() -> None:
    order = np.array([2, 0, 1])
    convention = Tan2dConvention(iou_rule=IoURule.ABOVE, max_iou=0.5)
    shuffled = convention.compute_figures(ANSWERS.take(order), TRUTH)
    for name, values in convention.compute_figures(ANSWERS, TRUTH).items():
        np.testing.assert_array_equal(shuffled[name], values[order])


@pytest.mark.parametrize("num_hits", range(7))
def test_chance_of_a_draw_equals_counting_all_draws(num_hits: int) -> None:
    draws = list(combinations(range(6), 3))
    share = np.mean([min(draw) < num_hits for draw in draws])
    assert compute_draw_recall(np.array([num_hits]), 6, 3)[0] == pytest.approx(share)


def test_chance_equals_a_loop_over_the_cells() -> None:
    cells = build_unit_cells(8) * 20.0
    truth = pad_moments([[Moment(3, 9)], [Moment(0, 20), Moment(5, 6)]])
    chance = Tan2dConvention(iou_rule=IoURule.AT_LEAST, max_iou=0.5).compute_chance(np.stack([cells, cells]), truth)
    for row, moments in enumerate([[[3.0, 9.0]], [[0.0, 20.0], [5.0, 6.0]]]):
        iou = np.array([max(compute_iou(cell[None], np.array(moments))[0]) for cell in cells])
        assert chance["R1_iou0.5"][row] == pytest.approx((iou >= 0.5).mean())
        assert chance["mIoU"][row] == pytest.approx(iou.mean())


def test_a_draw_of_all_candidates_finds_the_only_hit() -> None:
    assert compute_draw_recall(np.array([1, 0]), 4, 5).tolist() == [1.0, 0.0]
