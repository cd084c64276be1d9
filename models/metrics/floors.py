"""Floors without a model: random candidates of a grid, the most frequent training moments, the whole video, another video.

Letters: Q queries, M cells of the grid, K answers. Source: the baselines of TALL (Gao et al. 2017, arXiv:1705.02101) and after.
"""

import numpy as np

from corpus.moments import Floats, Ints, build_dense_cells, compute_cell_spans
from models.metrics.spans import PaddedSpans, RankedSpans, compute_best_iou, iterate_chunks, rank_spans


def build_unit_cells(num_cells: int) -> Floats:
    """Return the spans of all dense cells of a grid, as fractions of the duration: (N * (N + 1) / 2, 2)."""
    return compute_cell_spans(build_dense_cells(num_cells), num_cells=num_cells, duration_s=1.0)


def scale_unit_spans(unit_spans: Floats, durations_s: Floats) -> Floats:
    """Return the same relative spans for every query in seconds: (M, 2), (Q,) -> (Q, M, 2)."""
    return unit_spans[None] * durations_s[:, None, None]


def normalise_truth(truth: PaddedSpans, durations_s: Floats) -> PaddedSpans:
    """Return true moments as fractions of the duration."""
    return PaddedSpans(truth.spans / durations_s[:, None, None], truth.mask)


def count_best_cells(unit_truth: PaddedSpans, unit_cells: Floats) -> Ints:
    """Count the true moments with each cell as best match: (M,). Ties go to the first cell."""
    spans = unit_truth.spans[unit_truth.mask]  # (T, 2), one row per true moment
    counts = np.zeros(len(unit_cells), dtype=np.int64)
    for rows in iterate_chunks(len(spans), len(unit_cells)):
        part = spans[rows, None]
        mask = np.ones(part.shape[:2], dtype=bool)
        cells = np.broadcast_to(unit_cells, (len(part), *unit_cells.shape))
        best = compute_best_iou(cells, PaddedSpans(part, mask)).argmax(axis=1)
        counts += np.bincount(best, minlength=len(unit_cells))
    return counts


def rank_frequent_cells(unit_truth: PaddedSpans, unit_cells: Floats, *, max_iou: float, max_kept: int) -> Floats:
    """Return the most frequent best-matching cells of the training moments after suppression: (K, 2) fractions, best first."""
    counts = count_best_cells(unit_truth, unit_cells).astype(np.float64)
    everything = RankedSpans(unit_cells[None], counts[None], np.ones((1, len(counts)), dtype=bool))
    ranked = rank_spans(everything, max_iou=max_iou, max_kept=max_kept)
    kept: Floats = ranked.spans[0][ranked.valid[0]]
    return kept


def build_constant_answers(unit_spans: Floats, durations_s: Floats) -> RankedSpans:
    """Answer every query with the same relative spans, best first: (K, 2), (Q,) -> K answers for each query."""
    spans = scale_unit_spans(unit_spans, durations_s)
    scores = np.broadcast_to(-np.arange(len(unit_spans), dtype=np.float64), spans.shape[:2])
    return RankedSpans(spans, scores, np.ones(spans.shape[:2], dtype=bool))


def build_whole_video_answers(durations_s: Floats) -> RankedSpans:
    """Answer every query with its whole video."""
    return build_constant_answers(np.array([[0.0, 1.0]]), durations_s)


def draw_derangement(num_videos: int, seed: int) -> Ints:
    """Return another video for every video, each used once: (V,), without fixed points.

    Raises:
        ValueError: when there are fewer than two videos.
    """
    if num_videos < 2:
        raise ValueError(f"a shuffle of videos needs at least two videos, got {num_videos}")
    order = np.random.default_rng(seed).permutation(num_videos)
    others = np.empty(num_videos, dtype=np.int64)
    others[order] = np.roll(order, 1)  # one cycle through all videos
    return others
