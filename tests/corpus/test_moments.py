"""Arithmetic on moments: hand-computed cases and slow references."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.moments import (
    ClipResampler,
    Moment,
    build_dense_cells,
    compute_cell_spans,
    compute_clip_rate,
    compute_iou,
    find_clips,
    resample_clips,
    score_spans,
    suppress_overlaps,
)


def iou_of_two(one: tuple[float, float], other: tuple[float, float]) -> float:
    """Slow reference: intersection over union of two intervals."""
    intersection = max(0.0, min(one[1], other[1]) - max(one[0], other[0]))
    union = (one[1] - one[0]) + (other[1] - other[0]) - intersection
    return intersection / union if union > 0 else 0.0


def draw_spans(seed: int, number: int) -> np.ndarray:
    return np.sort(np.random.default_rng(seed).uniform(0, 20, (number, 2)), axis=1)


@pytest.mark.parametrize(("start_s", "end_s"), [(2, 2), (3, 2), (-1, 2), (float("nan"), 2), (0, float("nan")), (0, float("inf"))])
def test_an_invalid_interval_is_refused_with_its_values(start_s: float, end_s: float) -> None:
    with pytest.raises(ValueError, match=f"Moment needs 0 <= start_s < end_s, got start_s={start_s}, end_s={end_s}"):
        Moment(start_s, end_s)


def test_moments_are_ordered_by_start_then_end() -> None:
    assert sorted([Moment(2, 3), Moment(1, 9), Moment(1, 4)]) == [Moment(1, 4), Moment(1, 9), Moment(2, 3)]


def test_iou_of_hand_computed_pairs() -> None:
    spans = np.array([[0.0, 10.0]])
    others = np.array([[0.0, 10.0], [5.0, 15.0], [10.0, 12.0], [2.0, 4.0], [3.0, 3.0]])
    np.testing.assert_allclose(compute_iou(spans, others), [[1, 1 / 3, 0, 0.2, 0]])


def test_iou_agrees_with_the_slow_reference_and_is_symmetric() -> None:
    spans, others = draw_spans(0, 30), draw_spans(1, 40)
    expected = [[iou_of_two(tuple(one), tuple(other)) for other in others] for one in spans]
    np.testing.assert_allclose(compute_iou(spans, others), expected)
    np.testing.assert_allclose(compute_iou(others, spans), compute_iou(spans, others).T)


def test_spans_without_length_have_no_iou() -> None:
    assert compute_iou(np.array([[1.0, 1.0]]), np.array([[1.0, 1.0]])) == 0


def test_suppression_keeps_the_best_of_overlapping_spans() -> None:
    spans = np.array([[0.0, 10.0], [1.0, 10.0], [20.0, 30.0], [0.0, 4.0]])
    kept = suppress_overlaps(spans, np.array([0.5, 0.9, 0.1, 0.4]), max_iou=0.5, max_kept=10)
    assert kept.tolist() == [1, 3, 2]


def test_suppression_stops_at_the_number_asked_and_keeps_the_earlier_of_equal_scores() -> None:
    spans = np.array([[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]])
    assert suppress_overlaps(spans, np.ones(3), max_iou=0.5, max_kept=2).tolist() == [0, 1]


def test_an_overlap_of_exactly_the_limit_is_kept() -> None:
    spans = np.array([[0.0, 4.0], [0.0, 2.0]])
    assert suppress_overlaps(spans, np.array([1.0, 0.5]), max_iou=0.5, max_kept=5).tolist() == [0, 1]


@pytest.mark.parametrize("seed", range(5))
def test_suppression_agrees_with_the_slow_reference(seed: int) -> None:
    spans, scores = draw_spans(seed, 50), np.random.default_rng(seed + 100).normal(size=50)
    kept: list[int] = []
    for index in sorted(range(50), key=lambda index: -scores[index]):
        if all(iou_of_two(tuple(spans[index]), tuple(spans[other])) <= 0.4 for other in kept):
            kept.append(index)
    assert suppress_overlaps(spans, scores, max_iou=0.4, max_kept=50).tolist() == kept


def test_suppression_of_nothing_is_nothing() -> None:
    assert suppress_overlaps(np.empty((0, 2)), np.empty(0), max_iou=0.5, max_kept=5).shape == (0,)


def test_dense_cells_are_every_pair_in_order() -> None:
    assert build_dense_cells(3).tolist() == [[0, 0], [0, 1], [0, 2], [1, 1], [1, 2], [2, 2]]


def test_cell_spans_run_from_the_first_cells_start_to_the_last_ones_end() -> None:
    spans = compute_cell_spans(np.array([[0, 0], [1, 3]]), num_cells=4, duration_s=10.0)
    np.testing.assert_allclose(spans, [[0, 2.5], [2.5, 10.0]])


def test_resampling_averages_the_clips_of_each_cell() -> None:
    np.testing.assert_allclose(resample_clips(np.array([[1.0], [3.0], [5.0], [9.0]]), 2), [[2.0], [7.0]])


def test_resampling_to_more_cells_repeats_clips() -> None:
    np.testing.assert_allclose(resample_clips(np.array([1.0, 2.0]), 4), [1, 1, 2, 2])


@given(num_clips=st.integers(1, 40), num_cells=st.integers(1, 40))
def test_resampling_agrees_with_the_slow_reference(num_clips: int, num_cells: int) -> None:
    features = np.random.default_rng(num_clips).normal(size=(num_clips, 2, 3))
    expected = []
    for cell in range(num_cells):
        first, end = (round(edge * num_clips / num_cells) for edge in (cell, cell + 1))
        first = min(first, num_clips - 1)
        expected.append(features[first : max(end, first + 1)].mean(axis=0))
    found = resample_clips(features, num_cells)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-5)


@given(num_clips=st.integers(1, 40), num_cells=st.integers(1, 40), batch_size=st.integers(1, 9))
def test_resampling_in_batches_gives_the_same(num_clips: int, num_cells: int, batch_size: int) -> None:
    features = np.random.default_rng(num_clips).normal(size=(num_clips, 2, 3)).astype(np.float16)
    resampler = ClipResampler(num_clips, num_cells)
    for start in range(0, num_clips, batch_size):
        resampler.add(features[start : start + batch_size])
    np.testing.assert_array_equal(resampler.compute_means(), resample_clips(features, num_cells))


def test_resampling_in_batches_counts_the_clips() -> None:
    resampler = ClipResampler(3, 2)
    resampler.add(np.ones((2, 4)))
    with pytest.raises(ValueError, match="expected 3 clips, got 2"):
        resampler.compute_means()
    with pytest.raises(ValueError, match="expected 3 clips, got at least 4"):
        resampler.add(np.ones((2, 4)))


def test_resampling_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="resample_clips needs at least one clip"):
        resample_clips(np.empty((0, 3)), 4)


def test_clips_of_a_span_are_those_with_their_centre_inside() -> None:
    spans = np.array([[0.0, 1.0], [0.3, 1.3], [0.3, 0.4], [9.0, 99.0]])
    assert find_clips(spans, num_clips=20, clip_rate_hz=2).tolist() == [[0, 1], [1, 2], [0, 0], [18, 19]]


def test_span_scores_are_the_mean_inside_less_half_the_mean_of_the_flanks() -> None:
    scores = np.array([0.0, 1.0, 4.0, 6.0, 3.0, 0.0])
    cells = np.array([[2, 3], [0, 5], [0, 0]])
    np.testing.assert_allclose(score_spans(scores, cells), [5 - 0.5 * 2, 14 / 6, 0 - 0.5 * 1])


def test_span_scores_agree_with_the_slow_reference() -> None:
    scores, cells = np.random.default_rng(3).normal(size=12), build_dense_cells(12)
    expected = []
    for first, last in cells:
        flank = max((last + 1 - first) // 2, 1)
        around = np.concatenate([scores[max(0, first - flank) : first], scores[last + 1 : last + 1 + flank]])
        expected.append(scores[first : last + 1].mean() - 0.3 * (around.mean() if len(around) else 0.0))
    np.testing.assert_allclose(score_spans(scores, cells, flank_weight=0.3), expected)


def test_spans_of_videos_with_other_clip_rates_find_their_own_clips() -> None:
    spans = np.array([[2.0, 4.0], [2.0, 4.0]])
    together = find_clips(spans, num_clips=np.array([10, 30]), clip_rate_hz=np.array([1.0, 3.0]))
    alone = [find_clips(spans[:1], num_clips=count, clip_rate_hz=rate)[0] for count, rate in ((10, 1.0), (30, 3.0))]
    np.testing.assert_array_equal(together, alone)
    np.testing.assert_array_equal(together, [[2, 3], [6, 11]])


def test_clips_without_a_stated_rate_span_their_video_evenly() -> None:
    assert compute_clip_rate(None, num_clips=30, duration_s=12.0) == 2.5
    assert compute_clip_rate(2.0, num_clips=30, duration_s=12.0) == 2.0
