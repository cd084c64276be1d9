"""Average precision of ranked spans by the rules of detection: each true moment is matched once, by its best free answer.

Source: the interpolated average precision of Pascal VOC 2010 and after, with the matching of ActivityNet's detection task
(Caba Heilbron et al. 2015), as QVHighlights uses it (Lei et al. 2021, arXiv:2107.09609, section 4.1).
Letters: Q queries, K answers, G true moments, T thresholds.
"""

from collections.abc import Sequence

import numpy as np

from corpus.moments import Floats, Ints
from models.metrics.convention import IoURule
from models.metrics.spans import Bools, PaddedSpans, RankedSpans, compute_rowwise_iou


def compute_average_precision(answers: RankedSpans, truth: PaddedSpans, *, thresholds: Sequence[float], rule: IoURule) -> Floats:
    """Return the average precision of each query at each IoU threshold: (Q, T), NaN without true moments, 0 without answers.

    Answers are taken by descending score, ties in the given order.
    """
    order = np.argsort(np.where(answers.valid, -answers.scores, np.inf), axis=1, kind="stable")
    spans, valid = np.take_along_axis(answers.spans, order[..., None], axis=1), np.take_along_axis(answers.valid, order, axis=1)
    iou = compute_rowwise_iou(spans[:, :, None], truth.spans[:, None])  # (Q, K, G)
    found = match_greedily(iou, valid, truth.mask, thresholds=thresholds, rule=rule)  # (Q, T, K)
    num_true = truth.mask.sum(axis=1)
    precision = _interpolate(found, num_true)
    return np.where(num_true[:, None] > 0, precision, np.nan)


def match_greedily(iou: Floats, valid: Bools, mask: Bools, *, thresholds: Sequence[float], rule: IoURule) -> Bools:
    """Return the mask of answers that match a true moment: iou (Q, K, G), valid (Q, K), mask (Q, G) -> (Q, T, K).

    In order, each answer takes the free true moment with the highest IoU, if that is a hit; ties go to the last moment. The
    public code breaks ties by an unstable sort, which agrees with this rule for few true moments.
    """
    levels = np.asarray(thresholds)
    free = np.repeat(mask[:, None], len(levels), axis=1)  # (Q, T, G)
    found = np.zeros((len(iou), len(levels), iou.shape[1]), dtype=bool)
    queries, places = np.ogrid[: len(iou), : len(levels)]
    for rank in range(iou.shape[1]):
        open_iou = np.where(free, iou[:, None, rank], -1.0)[..., ::-1]  # (Q, T, G)
        best: Ints = iou.shape[2] - 1 - open_iou.argmax(axis=2)  # (Q, T)
        reached = np.where(free[queries, places, best], iou[:, rank][queries, best], -1.0)
        hit = rule.is_hit(reached, levels) & valid[:, None, rank]
        found[:, :, rank] = hit
        free[queries, places, best] &= ~hit
    return found


def _interpolate(found: Bools, num_true: Ints) -> Floats:
    """Sum, over the steps of recall, the best precision at that or a higher recall: (Q, T, K), (Q,) -> (Q, T)."""
    num_found = np.cumsum(found, axis=2)
    precision = num_found / np.arange(1, found.shape[2] + 1)
    envelope = np.maximum.accumulate(np.where(found, precision, 0.0)[..., ::-1], axis=2)[..., ::-1]
    recall = num_found / np.maximum(num_true, 1)[:, None, None]
    steps: Floats = np.diff(recall, axis=2, prepend=0.0)
    summed: Floats = (steps * envelope).sum(axis=2)
    return summed
