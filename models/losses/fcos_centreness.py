"""Centreness loss of FCOS: cross entropy of the predicted centreness of points in true moments.

Letters: B rows, M points.
"""

from typing import Literal

from torch import Tensor
from torch.nn import functional as F

from models.contracts.batches import LossDims, PointAnswers, Targets
from models.layers.point_targets import assign_points
from models.losses.base import LossTerm, TermParams


class FCOSCentrenessLoss(LossTerm):
    """Mean over positive points of BCE(centreness, sqrt(min(l, r) / max(l, r))), in nats; 0 without positive points.

    Source: FCOS (arXiv:1904.01355), section 3.2; `models.layers.point_targets` defines positive points.
    """

    inputs = ("points", "targets", "valid")

    def forward(self, points: PointAnswers, targets: Targets, valid: Tensor) -> Tensor:
        """Return a scalar; `valid` is (B, M) bool."""
        assigned = assign_points(points, targets, valid)
        losses = F.binary_cross_entropy_with_logits(points.centreness, assigned.centreness, reduction="none")
        return (losses * assigned.positive).sum() / assigned.positive.sum().clamp_min(1)


class FCOSCentrenessParams(TermParams):
    """Values of the centreness loss: only the weight."""

    name: Literal["fcos_centreness"]

    def build(self, dims: LossDims) -> FCOSCentrenessLoss:
        """Return the loss."""
        return FCOSCentrenessLoss()
