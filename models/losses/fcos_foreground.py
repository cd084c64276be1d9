"""Foreground loss of FCOS: focal loss of points inside and outside the true moments.

Letters: B rows, M points.
"""

from typing import Literal

import torch
from pydantic import Field, NonNegativeFloat
from torch import Tensor
from torch.nn import functional as F

from models.contracts.batches import LossDims, PointAnswers, Targets
from models.layers.point_targets import assign_points
from models.losses.base import LossTerm, TermParams


class FCOSForegroundLoss(LossTerm):
    """Sum over valid points of the focal loss of foreground logits, divided by the number of positive points, in nats.

    FL = a (1 - p_t)^gamma BCE, a = alpha at positive points and 1 - alpha elsewhere; a batch without positives divides by 1.
    Source: Lin et al. 2017 (arXiv:1708.02002), eq. 5, as FCOS (arXiv:1904.01355), eq. 2, uses it; `models.layers.point_targets`
    defines positive points. Deviation: a single class, inside the moment of the sentence.
    """

    inputs = ("points", "targets", "valid")

    def __init__(self, *, alpha: float, gamma: float) -> None:
        """Store the values."""
        super().__init__()
        self.alpha = alpha
        self.gamma = gamma

    def forward(self, points: PointAnswers, targets: Targets, valid: Tensor) -> Tensor:
        """Return a scalar; `valid` is (B, M) bool."""
        positive = assign_points(points, targets, valid).positive
        truth = positive.to(points.foreground.dtype)
        losses = F.binary_cross_entropy_with_logits(points.foreground, truth, reduction="none")
        missing = (truth - torch.sigmoid(points.foreground)).abs()  # 1 - p_t
        weights = torch.where(positive, self.alpha, 1 - self.alpha) * missing**self.gamma * valid
        return (losses * weights).sum() / positive.sum().clamp_min(1)


class FCOSForegroundParams(TermParams):
    """Values of the foreground loss; the defaults are those of FCOS."""

    name: Literal["fcos_foreground"]
    alpha: float = Field(default=0.25, gt=0, lt=1)
    gamma: NonNegativeFloat = 2.0

    def build(self, dims: LossDims) -> FCOSForegroundLoss:
        """Return the loss."""
        return FCOSForegroundLoss(alpha=self.alpha, gamma=self.gamma)
