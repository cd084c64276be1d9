"""Cross entropy over all spans of a video, with the better spans as soft targets.

Letters: B rows, M candidates.
"""

from typing import Literal

import torch
from pydantic import Field, PositiveFloat
from torch import Tensor

from models.exchange.batches import LossDims
from models.losses.base import LossTerm, TermParams


class SpanSoftmaxLoss(LossTerm):
    """Softmax over the valid candidates of a row against targets that grow with IoU, averaged over rows, in nats.

    Target of a candidate: IoU ** power where IoU > min_iou, else 0, normalised to sum to 1 in its row; a row without such
    a candidate takes its best one. Own formula: the map of 2D-TAN (arXiv:1912.03590) read as one distribution.
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
