"""Bootstrap over videos, against a slow loop."""

import numpy as np
import pytest

from models.metrics.intervals import (
    compare_means,
    draw_video_weights,
    estimate_means,
    estimate_median,
    resample_means,
    subtract_figures,
)

VIDEOS = np.array([0, 0, 1, 2, 2, 2, 3])
VALUES = np.array([1.0, 0.0, 1.0, 0.0, 0.0, 1.0, 1.0])


def test_intervals_equal_a_slow_loop_for_a_seed() -> None:
    drawn = np.random.default_rng(7).integers(4, size=(200, 4))
    slow = [np.concatenate([VALUES[video == VIDEOS] for video in sample]).mean() for sample in drawn]
    estimate = estimate_means({"R1": VALUES}, VIDEOS, num_samples=200, seed=7)["R1"]
    assert estimate.value == pytest.approx(VALUES.mean())
    assert estimate.low == pytest.approx(np.percentile(slow, 2.5))
    assert estimate.high == pytest.approx(np.percentile(slow, 97.5))


def test_resampled_means_equal_a_slow_loop_for_every_sample() -> None:
    weights = draw_video_weights(4, num_samples=50, seed=3)
    drawn = np.random.default_rng(3).integers(4, size=(50, 4))
    means = resample_means(VALUES[:, None], VIDEOS, weights)[:, 0]
    slow = [np.concatenate([VALUES[video == VIDEOS] for video in sample]).mean() for sample in drawn]
    np.testing.assert_allclose(means, slow)


@pytest.mark.parametrize("seed", range(5))
def test_an_interval_contains_its_point_estimate(seed: int) -> None:
    rng = np.random.default_rng(seed)
    videos = rng.integers(30, size=150)
    estimate = estimate_means({"mIoU": rng.random(150)}, videos, num_samples=300, seed=seed)["mIoU"]
    assert estimate.low is not None
    assert estimate.high is not None
    assert estimate.low <= estimate.value <= estimate.high


def test_queries_of_one_video_make_the_interval_wider_than_independent_ones() -> None:
    values = np.repeat(np.random.default_rng(0).integers(2, size=20), 10).astype(float)
    grouped = estimate_means({"R1": values}, np.repeat(np.arange(20), 10), num_samples=500, seed=0)["R1"]
    alone = estimate_means({"R1": values}, np.arange(200), num_samples=500, seed=0)["R1"]
    assert grouped.high is not None
    assert grouped.low is not None
    assert alone.high is not None
    assert alone.low is not None
    assert grouped.high - grouped.low > 2 * (alone.high - alone.low)


def test_a_single_video_has_no_interval() -> None:
    estimate = estimate_means({"R1": VALUES}, np.full(7, 3), num_samples=10, seed=0)["R1"]
    assert (estimate.low, estimate.high) == (None, None)
    assert estimate_median(VALUES, np.full(7, 3), num_samples=10, seed=0) == (1.0, None, None)


def test_the_same_seed_gives_the_same_interval_and_another_seed_another() -> None:
    values, videos = np.random.default_rng(0).random(100), np.arange(100) // 4
    first, again, other = (estimate_means({"x": values}, videos, num_samples=100, seed=seed)["x"] for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_differences_are_paired_query_by_query() -> None:
    constant = subtract_figures({"R1": VALUES + 0.25}, {"R1": VALUES, "R5": VALUES})
    estimate = estimate_means(constant, VIDEOS, num_samples=50, seed=0)["R1"]
    assert estimate == pytest.approx((0.25, 0.25, 0.25))


def test_the_median_interval_equals_a_slow_loop_and_may_be_infinite() -> None:
    values = np.array([1.0, np.inf, 3.0, np.inf, np.inf, 2.0, 5.0])
    drawn = np.random.default_rng(9).integers(4, size=(100, 4))
    slow = []
    for sample in drawn:
        queries = np.sort(np.concatenate([values[video == VIDEOS] for video in sample]))
        slow.append(queries[(len(queries) - 1) // 2])
    slow = sorted(slow)
    estimate = estimate_median(values, VIDEOS, num_samples=100, seed=9)
    assert estimate == (5.0, slow[2], slow[97])


def test_no_queries_are_refused() -> None:
    with pytest.raises(ValueError, match="needs at least one query, got none"):
        estimate_means({"R1": np.zeros(0)}, np.zeros(0, dtype=int), num_samples=10, seed=0)


def test_queries_without_a_part_in_a_figure_do_not_count() -> None:
    values, videos = np.array([1.0, np.nan, 0.0, np.nan]), np.array([0, 0, 1, 2])
    with_gaps = estimate_means({"a": values}, videos, num_samples=400, seed=0)["a"]
    assert with_gaps.value == 0.5
    assert (with_gaps.low, with_gaps.high) == (0.0, 1.0)
    nothing = estimate_means({"a": np.full(4, np.nan)}, videos, num_samples=50, seed=0)["a"]
    assert np.isnan(nothing.value)
    assert nothing.low is not None
    assert np.isnan(nothing.low)


def test_a_comparison_is_the_paired_interval_of_the_differences() -> None:
    rng = np.random.default_rng(0)
    videos = np.repeat(np.arange(40), 5)
    left = rng.random(200)
    right = left + 0.1 + 0.01 * rng.standard_normal(200)
    found = compare_means({"a": left, "b": left}, {"b": right}, videos, num_samples=500, seed=1)
    assert list(found) == ["b"]
    estimate = estimate_means({"b": right - left}, videos, num_samples=500, seed=1)["b"]
    assert found["b"].difference == pytest.approx(right.mean() - left.mean())
    assert (found["b"].low, found["b"].high) == (estimate.low, estimate.high)
    assert found["b"].p_value == pytest.approx(2 / 501)
    alone = estimate_means({"b": right}, videos, num_samples=500, seed=1)["b"]
    assert estimate.high - estimate.low < 0.1 * (alone.high - alone.low)  # queries that are hard for both systems cancel out


def test_equal_systems_differ_by_nothing_for_sure() -> None:
    values = {"a": np.random.default_rng(2).random(30)}
    found = compare_means(values, values, np.arange(30), num_samples=100, seed=0)["a"]
    assert (found.difference, found.low, found.high, found.p_value) == (0, 0, 0, 1)


def test_p_values_of_equally_good_systems_are_small_as_often_as_they_should_be() -> None:
    rng, videos = np.random.default_rng(3), np.arange(60)
    p_values = [
        compare_means({"a": rng.random(60)}, {"a": rng.random(60)}, videos, num_samples=200, seed=0)["a"].p_value
        for _ in range(200)
    ]
    assert 0.02 < np.mean(np.array(p_values) <= 0.1) < 0.2


def test_a_comparison_needs_a_figure_in_common_and_two_videos_for_an_interval() -> None:
    values = np.ones(3)
    with pytest.raises(ValueError, match="the two have no figure in common: a and b"):
        compare_means({"a": values}, {"b": values}, np.arange(3), num_samples=10, seed=0)
    assert compare_means({"a": values}, {"a": values}, np.zeros(3, int), num_samples=10, seed=0)["a"].p_value is None
