"""Batched overlap and suppression, against slow references."""

import numpy as np
import pytest

from corpus.moments import Moment, compute_iou, suppress_overlaps
from models.metrics.spans import (
    PaddedSpans,
    RankedSpans,
    compute_best_iou,
    compute_hull_iou,
    compute_rowwise_iou,
    pad_moments,
    rank_spans,
)


def draw_spans(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Draw spans on a grid of 12 cells, so that equal spans and exact ratios occur."""
    first, last = rng.integers(12, size=(2, *shape))
    return np.stack([np.minimum(first, last), np.maximum(first, last) + 1], axis=-1).astype(float)


def test_best_iou_takes_the_true_moment_that_overlaps_most() -> None:
    truth = pad_moments([[Moment(0, 4), Moment(10, 12)], [Moment(5, 6)]])
    spans = np.array([[[0.0, 2.0], [10.0, 14.0]], [[0.0, 5.0], [5.0, 6.0]]])
    np.testing.assert_allclose(compute_best_iou(spans, truth), [[0.5, 0.5], [0.0, 1.0]])


def test_best_iou_agrees_with_a_loop_over_pairs() -> None:
    rng = np.random.default_rng(0)
    spans, truth, mask = draw_spans(rng, 6, 9), draw_spans(rng, 6, 3), rng.random((6, 3)) < 0.6
    found = compute_best_iou(spans, PaddedSpans(truth, mask))
    for row in range(6):
        real = truth[row][mask[row]]
        slow = compute_iou(spans[row], real).max(axis=1) if len(real) else np.zeros(9)
        np.testing.assert_array_equal(found[row], slow)


def test_best_iou_does_not_depend_on_the_unit_of_time() -> None:
    rng = np.random.default_rng(1)
    spans, truth = draw_spans(rng, 4, 5), draw_spans(rng, 4, 2)
    mask = np.ones((4, 2), dtype=bool)
    scaled = compute_best_iou(spans * 7.3, PaddedSpans(truth * 7.3, mask))
    np.testing.assert_allclose(scaled, compute_best_iou(spans, PaddedSpans(truth, mask)))


def test_empty_and_touching_spans_have_iou_zero() -> None:
    truth = pad_moments([[Moment(2, 4)]])
    spans = np.array([[[0.0, 2.0], [4.0, 6.0], [3.0, 3.0]]])
    np.testing.assert_array_equal(compute_best_iou(spans, truth), [[0.0, 0.0, 0.0]])


@pytest.mark.parametrize("max_iou", [0.0, 0.3, 0.5, 1.0])
def test_ranking_agrees_with_greedy_suppression_of_one_query(max_iou: float) -> None:
    rng = np.random.default_rng(2)
    spans = draw_spans(rng, 20, 30)
    scores = rng.integers(8, size=(20, 30)).astype(float) - 4  # many ties, negative scores too
    valid = rng.random((20, 30)) < 0.8
    ranked = rank_spans(RankedSpans(spans, scores, valid), max_iou=max_iou, max_kept=6)
    for row in range(20):
        inside = np.flatnonzero(valid[row])
        kept = inside[suppress_overlaps(spans[row][inside], scores[row][inside], max_iou=max_iou, max_kept=6)]
        np.testing.assert_array_equal(ranked.spans[row][ranked.valid[row]], spans[row][kept])
        np.testing.assert_array_equal(ranked.scores[row][ranked.valid[row]], scores[row][kept])


def test_suppression_at_zero_keeps_disjoint_spans_only() -> None:
    rng = np.random.default_rng(3)
    candidates = RankedSpans(draw_spans(rng, 5, 40), rng.random((5, 40)), np.ones((5, 40), dtype=bool))
    ranked = rank_spans(candidates, max_iou=0.0, max_kept=10)
    for spans, valid in zip(ranked.spans, ranked.valid, strict=True):
        iou = compute_iou(spans[valid], spans[valid])
        np.testing.assert_array_equal(iou, np.eye(valid.sum()))


def test_ranking_twice_changes_nothing() -> None:
    rng = np.random.default_rng(4)
    candidates = RankedSpans(draw_spans(rng, 5, 40), rng.random((5, 40)), np.ones((5, 40), dtype=bool))
    once = rank_spans(candidates, max_iou=0.4, max_kept=7)
    twice = rank_spans(once, max_iou=0.4, max_kept=7)
    for left, right in zip(once, twice, strict=True):
        np.testing.assert_array_equal(left, right)


def test_a_query_without_valid_candidates_has_no_answers() -> None:
    candidates = RankedSpans(np.zeros((2, 3, 2)), np.zeros((2, 3)), np.array([[False] * 3, [True, False, False]]))
    ranked = rank_spans(candidates, max_iou=0.5, max_kept=4)
    assert ranked.valid.tolist() == [[False] * 4, [True, False, False, False]]


def test_ranking_in_chunks_equals_ranking_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(5)
    candidates = RankedSpans(draw_spans(rng, 11, 10), rng.random((11, 10)), np.ones((11, 10), dtype=bool))
    whole = rank_spans(candidates, max_iou=0.5, max_kept=3)
    monkeypatch.setattr("models.metrics.spans._ELEMENTS_PER_CHUNK", 30)
    np.testing.assert_array_equal(rank_spans(candidates, max_iou=0.5, max_kept=3).spans, whole.spans)


def test_scores_that_are_not_numbers_are_refused() -> None:
    candidates = RankedSpans(np.zeros((1, 2, 2)), np.array([[0.0, np.nan]]), np.ones((1, 2), dtype=bool))
    with pytest.raises(ValueError, match="needs finite scores, got NaN or infinity"):
        rank_spans(candidates, max_iou=0.5, max_kept=1)


def test_ranking_looks_further_down_where_the_best_candidates_are_all_the_same() -> None:
    rng = np.random.default_rng(6)
    spans = draw_spans(rng, 3, 2000)
    spans[:, ::2] = [3.0, 9.0]  # the better half suppresses itself
    scores = rng.random((3, 2000)) + np.tile([10.0, 0.0], 1000)
    ranked = rank_spans(RankedSpans(spans, scores, np.ones(scores.shape, dtype=bool)), max_iou=0.5, max_kept=5)
    for row in range(3):
        kept = suppress_overlaps(spans[row], scores[row], max_iou=0.5, max_kept=5)
        np.testing.assert_array_equal(ranked.spans[row][ranked.valid[row]], spans[row][kept])
    assert (ranked.valid.sum(axis=1) > 1).all()


def test_the_hull_form_equals_the_iou_of_overlapping_spans_and_is_zero_elsewhere() -> None:
    rng = np.random.default_rng(7)
    spans, others = draw_spans(rng, 200), draw_spans(rng, 200)
    np.testing.assert_allclose(compute_hull_iou(spans, others), compute_rowwise_iou(spans, others), atol=1e-15)
    assert compute_hull_iou(np.array([3.0, 3.0]), np.array([3.0, 3.0])) == 0
