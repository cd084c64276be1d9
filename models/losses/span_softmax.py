"""Span softmax: cross entropy over all spans of a video, with good spans as soft targets.

Letters: B rows, M candidates.
"""

from typing import Literal

import torch
from pydantic import Field, PositiveFloat
from torch import Tensor

from models.contracts.batches import LossDims
from models.losses.base import LossTerm, TermParams


class SpanSoftmaxLoss(LossTerm):
    """Cross entropy of a softmax over the valid candidates of a row and IoU targets, averaged over rows, in nats.

    The target of a candidate is IoU ** power if IoU > min_iou, else 0, normalised to sum 1 in its row. A row without such a
    candidate takes its best one. Own formula: the map of 2D-TAN (arXiv:1912.03590) as one distribution.
    """

    inputs = ("scores", "iou", "valid")

    def __init__(self, *, min_iou: float, power: float) -> None:
        """Store the shape of the targets."""
        super().__init__()
        self.min_iou = min_iou
        self.power = power

    def forward(self, scores: Tensor, iou: Tensor, valid: Tensor) -> Tensor:
        """Return a scalar from logits, IoU and validity, each (B, M)."""
        log_probabilities = scores.masked_fill(~valid, torch.finfo(scores.dtype).min).log_softmax(-1)
        iou = iou.masked_fill(~valid, 0.0)
        good = (iou > self.min_iou) | (iou == iou.amax(-1, keepdim=True))
        weights = (iou**self.power * good).clamp_min(torch.finfo(iou.dtype).tiny) * (good & valid)
        targets = weights / weights.sum(-1, keepdim=True)  # (B, M)
        return -(targets * log_probabilities.masked_fill(~valid, 0.0)).sum(-1).mean()


class SpanSoftmaxParams(TermParams):
    """Values of the span softmax."""

    name: Literal["span_softmax"]
    min_iou: float = Field(default=0.5, ge=0, lt=1)
    power: PositiveFloat = 4.0

    def build(self, dims: LossDims) -> SpanSoftmaxLoss:
        """Return the loss."""
        return SpanSoftmaxLoss(min_iou=self.min_iou, power=self.power)
