"""The convention of QVHighlights for moments."""

import numpy as np
import pytest

from corpus.moments import Moment
from models.metrics.convention import compute_means
from models.metrics.qvhighlights import QVHighlightsConvention, compute_first_iou
from models.metrics.spans import PaddedSpans, RankedSpans, compute_best_iou, pad_moments

CONVENTION = QVHighlightsConvention()


def answer(*windows: tuple[float, float, float]) -> RankedSpans:
    values = np.array([windows])
    return RankedSpans(values[..., :2], values[..., 2], np.ones(values.shape[:2], dtype=bool))


def compute(answers: RankedSpans, truth: PaddedSpans) -> dict[str, float]:
    return compute_means(CONVENTION.compute_figures(answers, truth))


def test_a_hit_is_an_overlap_of_at_least_the_threshold() -> None:
    figures = compute(answer((0, 5, 1.0)), pad_moments([[Moment(0, 10)]]))
    assert figures["R1_iou0.5"] == 1
    assert figures["R1_iou0.55"] == 0
    assert figures["mAP_iou0.5"] == 1
    assert figures["mAP_avg"] == pytest.approx(0.1)
    assert figures["mIoU"] == 0.5


def test_the_first_window_counts_for_recall_and_the_best_score_for_precision() -> None:
    figures = compute(answer((50, 60, 0.1), (0, 10, 0.9)), pad_moments([[Moment(0, 10)]]))
    assert figures["R1_iou0.5"] == 0
    assert figures["mAP_avg"] == 1


def test_only_the_first_ten_windows_count() -> None:
    far = [(100.0 + number, 101.0 + number, 0.5) for number in range(10)]
    assert compute(answer(*far, (0, 10, 0.9)), pad_moments([[Moment(0, 10)]]))["mAP_avg"] == 0
    assert compute(answer(*far[:9], (0, 10, 0.9)), pad_moments([[Moment(0, 10)]]))["mAP_avg"] == 1


def test_length_ranges_take_the_moments_of_a_length_and_the_queries_that_have_one() -> None:
    truth = pad_moments([[Moment(0, 10), Moment(50, 60.5)], [Moment(0, 100)], [Moment(0, 151)]])
    spans = np.array([[[0.0, 10.0]], [[0.0, 100.0]], [[0.0, 151.0]]])
    figures = CONVENTION.compute_figures(RankedSpans(spans, np.ones((3, 1)), np.ones((3, 1), bool)), truth)
    np.testing.assert_array_equal(figures["mAP_avg"], [0.5, 1, 1])
    np.testing.assert_array_equal(figures["short_mAP_avg"], [1, np.nan, np.nan])
    np.testing.assert_array_equal(figures["middle_mAP_avg"], [0, np.nan, np.nan])
    np.testing.assert_array_equal(figures["long_mAP_avg"], [np.nan, 1, np.nan])
    np.testing.assert_array_equal(figures["middle_R1_iou0.5"], [0, np.nan, np.nan])
    assert np.isnan(compute_means({"none": np.full(2, np.nan)})["none"])


def test_the_overlap_of_the_first_window_is_that_with_the_nearest_moment() -> None:
    rng = np.random.default_rng(0)
    ends = np.sort(rng.uniform(0, 50, (200, 4, 2)), axis=2)
    answers = RankedSpans(ends[:, :1], np.ones((200, 1)), np.ones((200, 1), bool))
    truth = PaddedSpans(ends[:, 1:], rng.random((200, 3)) < 0.7)
    np.testing.assert_allclose(compute_first_iou(answers, truth), compute_best_iou(answers.spans, truth)[:, 0], atol=1e-12)


def test_figures_do_not_depend_on_the_order_of_queries_and_fall_with_the_threshold() -> None:
    rng = np.random.default_rng(1)
    windows = np.sort(rng.uniform(0, 60, (30, 6, 2)), axis=2)
    answers = RankedSpans(windows, rng.random((30, 6)), np.ones((30, 6), bool))
    truth = PaddedSpans(np.sort(rng.uniform(0, 60, (30, 2, 2)), axis=2), np.ones((30, 2), bool))
    figures = CONVENTION.compute_figures(answers, truth)
    order = rng.permutation(30)
    shuffled = CONVENTION.compute_figures(answers.take(order), PaddedSpans(truth.spans[order], truth.mask[order]))
    for name, values in figures.items():
        np.testing.assert_array_equal(shuffled[name], values[order])
    recalls = [figures[f"R1_iou{threshold:g}"].mean() for threshold in (0.3, 0.5, 0.7, 0.95)]
    assert recalls == sorted(recalls, reverse=True)


def test_chance_is_the_mean_over_random_lists() -> None:
    truth = pad_moments([[Moment(0, 10)]] * 200)
    candidates = np.broadcast_to(np.array([[0.0, 10.0], [20.0, 30.0], [40.0, 50.0], [60.0, 70.0]]), (200, 4, 2))
    chance = compute_means(CONVENTION.compute_chance(candidates, truth))
    assert chance["R1_iou0.5"] == pytest.approx(0.25, abs=0.02)
    assert chance["mAP_avg"] == pytest.approx((1 + 1 / 2 + 1 / 3 + 1 / 4) / 4, abs=0.02)
