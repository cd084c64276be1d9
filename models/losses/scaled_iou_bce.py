"""Scaled-IoU loss of 2D-TAN: binary cross entropy of candidate scores against scaled IoU.

Letters: B rows, M candidates.
"""

from typing import Literal

from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from models.contracts.batches import LossDims
from models.layers.iou_targets import IoUBand, scale_iou
from models.losses.base import LossTerm, TermParams


class ScaledIoUBCELoss(LossTerm):
    """Mean over all valid candidates of the batch of BCE(score, y), in nats.

    y = clip((iou - min_iou) / (max_iou - min_iou) * (1 - bias), 0, 1), plus `bias` where positive, clipped again.
    Source: 2D-TAN (arXiv:1912.03590), section 3.4, and the authors' `lib/models/loss.py`.
    Deviations: logits instead of probabilities (stable in half precision); targets are not edited in place.
    """

    inputs = ("scores", "iou", "valid")

    def __init__(self, *, min_iou: float, max_iou: float, bias: float) -> None:
        """Store the IoU range that maps to [0, 1]."""
        super().__init__()
        self.min_iou = min_iou
        self.max_iou = max_iou
        self.bias = bias

    def forward(self, scores: Tensor, iou: Tensor, valid: Tensor) -> Tensor:
        """Return a scalar from logits, IoU and validity, each (B, M); 0 without valid candidates."""
        mask = valid.to(scores.dtype)
        targets = scale_iou(iou, min_iou=self.min_iou, max_iou=self.max_iou, bias=self.bias)
        losses = F.binary_cross_entropy_with_logits(scores, targets, reduction="none")
        return (losses * mask).sum() / mask.sum().clamp_min(1)


class ScaledIoUBCEParams(TermParams, IoUBand):
    """Values of the scaled-IoU BCE."""

    name: Literal["scaled_iou_bce"]
    bias: float = Field(default=0.0, ge=0, lt=1)

    def build(self, dims: LossDims) -> ScaledIoUBCELoss:
        """Return the loss."""
        return ScaledIoUBCELoss(min_iou=self.min_iou, max_iou=self.max_iou, bias=self.bias)
