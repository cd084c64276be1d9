"""Cross entropy of how central points lie in the true moments.

Letters: B rows, M points.
"""

from typing import Literal

from torch import Tensor
from torch.nn import functional as F

from models.exchange.batches import LossDims, PointAnswers, Targets
from models.layers.point_targets import assign_points
from models.losses.base import LossTerm, TermParams


class FCOSCentrenessLoss(LossTerm):
    """Mean over positive points of BCE(centreness, sqrt(min(l, r) / max(l, r))), in nats; 0 where no point is positive.

    Source: FCOS (arXiv:1904.01355), section 3.2; `models.layers.point_targets` says which points are positive.
    """

    inputs = ("points", "targets", "valid")

    def forward(self, points: PointAnswers, targets: Targets, valid: Tensor) -> Tensor:
        """Return a scalar; `valid` is (B, M) bool."""
        assigned = assign_points(points, targets, valid)
        losses = F.binary_cross_entropy_with_logits(points.centreness, assigned.centreness, reduction="none")
        return (losses * assigned.positive).sum() / assigned.positive.sum().clamp_min(1)


class FCOSCentrenessParams(TermParams):
    """Values of the centreness loss: only its weight."""

    name: Literal["fcos_centreness"]

    def build(self, dims: LossDims) -> FCOSCentrenessLoss:
        """Return the loss."""
        return FCOSCentrenessLoss()
