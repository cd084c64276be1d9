"""Thresholded loss: binary cross entropy of candidate scores against a threshold on IoU.

Letters: B rows, M candidates.
"""

from typing import Literal

from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from models.contracts.batches import LossDims
from models.losses.base import LossTerm, TermParams


class IoUBCELoss(LossTerm):
    """Mean over all valid candidates of the batch of BCE(score, iou >= min_iou), in nats.

    Source: own. It optimises exactly R@1 at that IoU. `scaled_iou_bce` also rewards tight spans, which makes a model without
    video input prefer short ones.
    """

    inputs = ("scores", "iou", "valid")

    def __init__(self, min_iou: float) -> None:
        """Store the threshold."""
        super().__init__()
        self.min_iou = min_iou

    def forward(self, scores: Tensor, iou: Tensor, valid: Tensor) -> Tensor:
        """Return a scalar from logits, IoU and validity, each (B, M); 0 without valid candidates."""
        mask = valid.to(scores.dtype)
        targets = (iou >= self.min_iou).to(scores.dtype)
        losses = F.binary_cross_entropy_with_logits(scores, targets, reduction="none")
        return (losses * mask).sum() / mask.sum().clamp_min(1)


class IoUBCEParams(TermParams):
    """Values of the thresholded BCE."""

    name: Literal["iou_bce"]
    min_iou: float = Field(default=0.5, gt=0, le=1)

    def build(self, dims: LossDims) -> IoUBCELoss:
        """Return the loss."""
        return IoUBCELoss(self.min_iou)
