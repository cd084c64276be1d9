"""Highlight detection metrics of QVHighlights (Lei et al. 2021, arXiv:2107.09609, section 4.1): HIT@1 and average precision.

A clip is a highlight for an annotator who rated it at least Fair (2), Good (3) or Very Good (4) of 0 to 4. HIT@1 tells whether
the clip with the highest predicted score is a highlight for any annotator. Average precision is computed per annotator and
averaged. Clips missing in a prediction have score 0. Clips after the end of the video are left out of the precision; if the
highest score is there, HIT@1 is 0.
Letters: Q queries, P predicted clips, C clips of a video, A annotators.
"""

from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from corpus.moments import Floats, Ints
from models.metrics.convention import Figures
from models.metrics.spans import Bools

MIN_RATINGS = MappingProxyType({"fair": 2, "good": 3, "very_good": 4})


class Saliency(NamedTuple):
    """Predicted scores of the clips of each query's video."""

    scores: Floats  # (Q, P), arbitrary where masked
    mask: Bools  # (Q, P), False after the last predicted clip


class Ratings(NamedTuple):
    """Saliency ratings of each clip by annotators."""

    ratings: Floats  # (Q, C, A), 0 without a rating
    num_clips: Ints  # (Q,) of the video, at most C


def compute_highlight_figures(predicted: Saliency, truth: Ratings) -> Figures:
    """Return `highlight_NAME_mAP` and `highlight_NAME_hit1` for each of `MIN_RATINGS`.

    Without a highlight for an annotator, the precision is 0. Every query needs a predicted clip.
    """
    best = np.where(predicted.mask, predicted.scores, -np.inf).argmax(axis=1)  # (Q,), the first of equal ones
    clips = np.arange(truth.ratings.shape[1])
    inside = clips < truth.num_clips[:, None]  # (Q, C)
    scores = _fit(predicted, truth.ratings.shape[1])
    figures: dict[str, Floats] = {}
    for name, minimum in MIN_RATINGS.items():
        is_highlight = (truth.ratings >= minimum) & inside[..., None]  # (Q, C, A)
        hit = np.any(is_highlight & (clips == best[:, None])[..., None], axis=(1, 2))
        figures[f"highlight_{name}_mAP"] = compute_clip_precision(scores, inside, is_highlight).mean(axis=1)
        figures[f"highlight_{name}_hit1"] = hit.astype(np.float64)
    return figures


def _fit(predicted: Saliency, num_clips: int) -> Floats:
    """Cut or zero-fill to the same number of clips: (Q, P) -> (Q, C)."""
    fitted = np.zeros((len(predicted.scores), num_clips))
    width = min(num_clips, predicted.scores.shape[1])
    fitted[:, :width] = np.where(predicted.mask, predicted.scores, 0.0)[:, :width]
    return fitted


def compute_clip_precision(scores: Floats, inside: Bools, is_highlight: Bools) -> Floats:
    """Return the average precision of ranked clips: scores and inside (Q, C), is_highlight (Q, C, A) -> (Q, A).

    It is the interpolated precision, averaged over the scores at which highlights appear. Clips of equal score count as one
    step.
    """
    order = np.argsort(np.where(inside, -scores, np.inf), axis=1, kind="stable")  # (Q, C)
    ranked, real = np.take_along_axis(scores, order, axis=1), np.take_along_axis(inside, order, axis=1)
    found = np.cumsum(np.take_along_axis(is_highlight, order[..., None], axis=1), axis=1)  # (Q, C, A)
    following = np.zeros_like(real)
    following[:, :-1] = real[:, 1:] & (ranked[:, 1:] == ranked[:, :-1])
    is_step = (real & ~following)[..., None]  # (Q, C, 1), at the last clip of each score
    precision = np.where(is_step, found / np.arange(1, found.shape[1] + 1)[:, None], 0.0)
    best = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    reached = np.maximum.accumulate(np.where(is_step, found, 0), axis=1)
    brings = np.diff(reached, axis=1, prepend=0) > 0  # (Q, C, A)
    count = brings.sum(axis=1)
    summed = np.where(brings, best, 0.0).sum(axis=1)
    means: Floats = np.divide(summed, count, out=np.zeros(count.shape), where=count > 0)
    return means
