"""Percentile intervals by bootstrap over videos: queries of one video are not independent, so whole videos are drawn.

Letters: S bootstrap samples, V videos, Q queries, F figures.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from corpus.moments import Floats, Ints
from models.metrics.convention import Figures

CONFIDENCE = 0.95


class Estimate(NamedTuple):
    """A figure with its 95 % interval; the bounds are None where fewer than two videos were scored."""

    value: float
    low: float | None
    high: float | None


def draw_video_weights(num_videos: int, *, num_samples: int, seed: int) -> Ints:
    """Draw videos with replacement and return how often each one is in each sample: (S, V), every row sums to V."""
    drawn = np.random.default_rng(seed).integers(num_videos, size=(num_samples, num_videos))  # (S, V)
    cells = drawn + num_videos * np.arange(num_samples)[:, None]
    return np.bincount(cells.ravel(), minlength=num_samples * num_videos).reshape(num_samples, num_videos)


def resample_means(values: Floats, videos: Ints, weights: Ints) -> Floats:
    """Return the mean over the queries of every bootstrap sample: (Q, F), (Q,), (S, V) -> (S, F).

    `videos` are indices below V; every video needs at least one query.
    """
    num_videos = weights.shape[1]
    counts = np.bincount(videos, minlength=num_videos)  # (V,)
    sums = np.stack([np.bincount(videos, weights=column, minlength=num_videos) for column in values.T], axis=1)  # (V, F)
    return (weights @ sums) / (weights @ counts)[:, None]


def estimate_means(figures: Figures, videos: Ints, *, num_samples: int, seed: int) -> dict[str, Estimate]:
    """Return every figure's mean with its interval. `videos` (Q,) says which video each query is of.

    Figures scored with one seed on the same queries share their samples, so differences of columns are paired.

    Raises:
        ValueError: when there are no queries.
    """
    names = list(figures)
    values = np.stack([figures[name] for name in names], axis=1)  # (Q, F)
    if not len(values):
        raise ValueError("an interval needs at least one query, got none")
    means = values.mean(axis=0)
    _, dense = np.unique(videos, return_inverse=True)
    if dense.max() == 0:
        return {name: Estimate(float(mean), None, None) for name, mean in zip(names, means, strict=True)}
    weights = draw_video_weights(int(dense.max()) + 1, num_samples=num_samples, seed=seed)
    low, high = compute_bounds(resample_means(values, dense, weights))
    return {name: Estimate(*map(float, row)) for name, *row in zip(names, means, low, high, strict=True)}


def compute_bounds(samples: Floats) -> tuple[Floats, Floats]:
    """Return the lower and upper percentile of bootstrap samples: (S, F) -> (F,), (F,)."""
    tail = 100 * (1 - CONFIDENCE) / 2
    low, high = np.percentile(samples, [tail, 100 - tail], axis=0)
    return low, high


def estimate_median(values: Floats, videos: Ints, *, num_samples: int, seed: int) -> Estimate:
    """Return the lower median of (Q,) values, infinity allowed, with its interval."""
    ordered = np.argsort(values, kind="stable")
    point = float(values[ordered[(len(values) - 1) // 2]])
    _, dense = np.unique(videos, return_inverse=True)
    if dense.max() == 0:
        return Estimate(point, None, None)
    weights = draw_video_weights(int(dense.max()) + 1, num_samples=num_samples, seed=seed)
    totals = np.cumsum(weights[:, dense[ordered]], axis=1)  # (S, Q), queries drawn up to each value
    middle = (totals < (totals[:, -1:] + 1) // 2).sum(axis=1)  # (S,), the first value that reaches the half
    medians = np.sort(values[ordered][middle])
    tail = round(len(medians) * (1 - CONFIDENCE) / 2)
    return Estimate(point, float(medians[tail]), float(medians[-1 - tail]))


def subtract_figures(left: Figures, right: Figures) -> Mapping[str, Floats]:
    """Return the per-query differences of the figures that both tables have: the input of a paired interval."""
    return {name: left[name] - right[name] for name in left if name in right}
