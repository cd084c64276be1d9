"""Bootstrap percentile intervals over videos. Queries of one video are not independent, so whole videos are drawn.

Letters: S bootstrap samples, V videos, Q queries, F figures.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from corpus.moments import Floats, Ints
from models.metrics.convention import Figures, compute_means

CONFIDENCE = 0.95


class Estimate(NamedTuple):
    """A figure with its 95 % interval; the bounds are None with fewer than two scored videos."""

    value: float
    low: float | None
    high: float | None


class Comparison(NamedTuple):
    """A figure of two systems on the same queries, and right minus left with its paired 95 % interval.

    `p_value` is the two-sided share of bootstrap differences on the other side of 0. It is None with fewer than two scored
    videos.
    """

    left: float
    right: float
    difference: float
    low: float | None
    high: float | None
    p_value: float | None


def draw_video_weights(num_videos: int, *, num_samples: int, seed: int) -> Ints:
    """Draw videos with replacement and return their counts per sample: (S, V), every row sums to V."""
    drawn = np.random.default_rng(seed).integers(num_videos, size=(num_samples, num_videos))  # (S, V)
    cells = drawn + num_videos * np.arange(num_samples)[:, None]
    return np.bincount(cells.ravel(), minlength=num_samples * num_videos).reshape(num_samples, num_videos)


def resample_means(values: Floats, videos: Ints, weights: Ints) -> Floats:
    """Return the mean over the queries of every bootstrap sample: (Q, F), (Q,), (S, V) -> (S, F).

    `videos` are indices below V. Means ignore NaN; the mean of no values is NaN.
    """
    num_videos, real = weights.shape[1], ~np.isnan(values)

    def total(columns: Floats) -> Floats:
        of_videos = [np.bincount(videos, weights=column, minlength=num_videos) for column in columns.T]
        summed: Floats = weights.astype(np.float64) @ np.stack(of_videos, axis=1)  # (S, V) @ (V, F)
        return summed

    sums, counts = total(np.where(real, values, 0.0)), total(real.astype(np.float64))
    means: Floats = np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=counts > 0)
    return means


def estimate_means(figures: Figures, videos: Ints, *, num_samples: int, seed: int) -> dict[str, Estimate]:
    """Return the mean of every figure with its interval. `videos` (Q,) holds the video of each query.

    Figures with the same seed and queries share their samples, so differences of columns are paired.

    Raises:
        ValueError: when there are no queries.
    """
    means, samples = compute_means(figures), draw_means(figures, videos, num_samples=num_samples, seed=seed)
    if samples is None:
        return {name: Estimate(mean, None, None) for name, mean in means.items()}
    low, high = compute_bounds(samples)
    return {name: Estimate(mean, *map(float, row)) for (name, mean), *row in zip(means.items(), low, high, strict=True)}


def draw_means(figures: Figures, videos: Ints, *, num_samples: int, seed: int) -> Floats | None:
    """Return the means of every bootstrap sample over videos: (S, F), None with fewer than two scored videos.

    Raises:
        ValueError: when there are no queries.
    """
    values = np.stack(list(figures.values()), axis=1)  # (Q, F)
    if not len(values):
        raise ValueError("an interval needs at least one query, got none")
    _, dense = np.unique(videos, return_inverse=True)
    if dense.max() == 0:
        return None
    weights = draw_video_weights(int(dense.max()) + 1, num_samples=num_samples, seed=seed)
    return resample_means(values, dense, weights)


def compare_means(left: Figures, right: Figures, videos: Ints, *, num_samples: int, seed: int) -> dict[str, Comparison]:
    """Compare common figures of two systems with the same samples for both. `videos` (Q,) as in `estimate_means`.

    Raises:
        ValueError: when there are no queries, or no common figure.
    """
    differences = subtract_figures(right, left)
    if not differences:
        raise ValueError(f"the two have no figure in common: {', '.join(left)} and {', '.join(right)}")
    estimates = estimate_means(differences, videos, num_samples=num_samples, seed=seed)
    samples = draw_means(differences, videos, num_samples=num_samples, seed=seed)
    p_values = [None] * len(differences) if samples is None else [_compute_p_value(column) for column in samples.T]
    means = compute_means(left), compute_means(right)
    return {
        name: Comparison(means[0][name], means[1][name], *estimate, p_value)
        for (name, estimate), p_value in zip(estimates.items(), p_values, strict=True)
    }


def _compute_p_value(differences: Floats) -> float:
    """Return twice the smaller share of (S,) differences on one side of 0; 0 counts on both sides. Never 0."""
    real = differences[~np.isnan(differences)]
    beyond = min(int((real <= 0).sum()), int((real >= 0).sum()))
    return min(1.0, 2 * (beyond + 1) / (len(real) + 1))


def compute_bounds(samples: Floats) -> tuple[Floats, Floats]:
    """Return the lower and upper percentile of bootstrap samples: (S, F) -> (F,), (F,). NaN samples do not count."""
    tail = 100 * (1 - CONFIDENCE) / 2
    bounds = np.full((2, samples.shape[1]), np.nan)
    some = ~np.isnan(samples).all(axis=0)
    if some.any():
        bounds[:, some] = np.nanpercentile(samples[:, some], [tail, 100 - tail], axis=0)
    return bounds[0], bounds[1]


def estimate_median(values: Floats, videos: Ints, *, num_samples: int, seed: int) -> Estimate:
    """Return the lower median of (Q,) values, infinity allowed, with its interval."""
    ordered = np.argsort(values, kind="stable")
    point = float(values[ordered[(len(values) - 1) // 2]])
    _, dense = np.unique(videos, return_inverse=True)
    if dense.max() == 0:
        return Estimate(point, None, None)
    weights = draw_video_weights(int(dense.max()) + 1, num_samples=num_samples, seed=seed)
    totals = np.cumsum(weights[:, dense[ordered]], axis=1)  # (S, Q), queries drawn up to each value
    middle = (totals < (totals[:, -1:] + 1) // 2).sum(axis=1)  # (S,), the first value that reaches half of the weight
    medians = np.sort(values[ordered][middle])
    tail = round(len(medians) * (1 - CONFIDENCE) / 2)
    return Estimate(point, float(medians[tail]), float(medians[-1 - tail]))


def subtract_figures(left: Figures, right: Figures) -> Mapping[str, Floats]:
    """Return the per-query differences of common figures, the input of a paired interval."""
    return {name: left[name] - right[name] for name in left if name in right}
