"""Focal loss: focal binary cross entropy of candidate scores against scaled IoU.

Letters: B rows, M candidates.
"""

from typing import Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor
from torch.nn import functional as F

from models.contracts.batches import LossDims
from models.layers.iou_targets import IoUBand, scale_iou
from models.losses.base import LossTerm, TermParams


class FocalLoss(LossTerm):
    """Mean over all valid candidates of the batch of a |y - p|^gamma BCE(score, y), in nats, with p = sigmoid(score).

    y = clip((iou - min_iou) / (max_iou - min_iou), 0, 1), the target of `scaled_iou_bce`; a = alpha y + (1 - alpha)
    (1 - y), or 1 without alpha. For targets of 0 and 1 this is the focal loss. For soft targets, |y - p| replaces 1 - p_t,
    because it is 0 at the right score. gamma = 0 without alpha is `scaled_iou_bce`.
    Source: Lin et al. 2017 (arXiv:1708.02002), eq. 5; the form for soft targets is the quality focal loss of Li et al.
    2020 (arXiv:2006.04388), eq. 2. Deviation: the mean over candidates instead of the sum divided by the number of positives,
    because soft targets have no such number.
    """

    inputs = ("scores", "iou", "valid")

    def __init__(self, *, gamma: float, alpha: float | None, min_iou: float, max_iou: float) -> None:
        """Store the values."""
        super().__init__()
        self.gamma = gamma
        self.alpha = alpha
        self.min_iou = min_iou
        self.max_iou = max_iou

    def forward(self, scores: Tensor, iou: Tensor, valid: Tensor) -> Tensor:
        """Return a scalar from logits, IoU and validity, each (B, M); 0 without valid candidates."""
        mask = valid.to(scores.dtype)
        targets = scale_iou(iou, min_iou=self.min_iou, max_iou=self.max_iou)
        losses = F.binary_cross_entropy_with_logits(scores, targets, reduction="none")
        losses = losses * (targets - torch.sigmoid(scores)).abs() ** self.gamma
        if self.alpha is not None:
            losses = losses * (self.alpha * targets + (1 - self.alpha) * (1 - targets))
        return (losses * mask).sum() / mask.sum().clamp_min(1)


class FocalParams(TermParams, IoUBand):
    """Values of the focal BCE."""

    name: Literal["focal"]
    gamma: float = Field(default=2.0, ge=0)  # reduces the weight of candidates with nearly right scores
    alpha: float | None = Field(default=None, gt=0, lt=1)  # weight share of positives; null: equal weights

    @model_validator(mode="after")
    def _check_gamma(self) -> Self:
        if 0 < self.gamma < 1:
            raise ValueError(f"focal needs gamma = 0 or gamma >= 1, got {self.gamma}: between them the gradient has no bound")
        return self

    def build(self, dims: LossDims) -> FocalLoss:
        """Return the loss."""
        return FocalLoss(gamma=self.gamma, alpha=self.alpha, min_iou=self.min_iou, max_iou=self.max_iou)
