"""Targets of points in time: assigned moment, centreness, and their joint logit.

Source: FCOS (Tian et al. 2019, arXiv:1904.01355), sections 3.1-3.2, along one axis.
Letters: B rows, M points, G true moments.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from models.contracts.batches import PointAnswers, Targets


class PointTargets(NamedTuple):
    """The targets of points."""

    positive: Tensor  # (B, M) bool, True at points of a true moment
    spans: Tensor  # (B, M, 2) seconds of that moment, zero elsewhere
    centreness: Tensor  # (B, M) in [0, 1], zero elsewhere


def assign_points(points: PointAnswers, targets: Targets, valid: Tensor) -> PointTargets:
    """Assign each valid point (B, M) the shortest true moment that contains it and has its farther end within reach.

    A moment shorter than a cell may contain no point and is then not assigned.
    """
    time_s = points.time_s[..., None]  # (B, M, 1)
    starts, ends = targets.spans[:, None].unbind(-1)  # (B, 1, G)
    left, right = time_s - starts, ends - time_s  # (B, M, G)
    farther = torch.maximum(left, right)
    near = (farther > points.reach_s[..., :1]) & (farther <= points.reach_s[..., 1:])
    fits = (left > 0) & (right > 0) & near & targets.mask[:, None] & valid[..., None]
    length = (ends - starts).expand_as(left).masked_fill(~fits, float("inf"))
    chosen = length.argmin(-1)  # (B, M)
    positive = fits.any(-1)
    spans = targets.spans.gather(1, chosen[..., None].expand(-1, -1, 2)) * positive[..., None]
    return PointTargets(positive, spans, compute_centreness(points.time_s, spans) * positive)


def compute_centreness(time_s: Tensor, spans: Tensor) -> Tensor:
    """Return sqrt(min(l, r) / max(l, r)) of the distances l and r to both ends: 1 in the middle, 0 at an end and outside.

    Times are (...), spans (..., 2), both in seconds. FCOS, eq. 3.
    """
    left, right = time_s - spans[..., 0], spans[..., 1] - time_s
    shorter, longer = torch.minimum(left, right).clamp_min(0), torch.maximum(left, right)
    return (shorter / longer.clamp_min(torch.finfo(longer.dtype).tiny)).sqrt()


def combine_logits(foreground: Tensor, centreness: Tensor) -> Tensor:
    """Return the logit of the product of both probabilities, in the input shape; it is exact for large logits too.

    p / (1 - p) with p = sigmoid(a) sigmoid(b) is 1 / (e^-a + e^-b + e^-(a + b)).
    """
    return -torch.stack([-foreground, -centreness, -foreground - centreness]).logsumexp(0)
