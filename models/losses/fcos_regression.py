"""Regression loss of FCOS: one minus the generalised IoU of the spans predicted at points of a true moment.

Letters: B rows, M points.
"""

from typing import Literal

import torch
from torch import Tensor

from models.contracts.batches import Candidates, LossDims, PointAnswers, Targets
from models.layers.point_targets import assign_points
from models.layers.spans import compute_generalized_iou
from models.losses.base import LossTerm, TermParams


class FCOSRegressionLoss(LossTerm):
    """Mean of 1 - gIoU(span, moment) over positive points, weighted by their centreness, in [0, 2]; 0 without positives.

    Source: the regression of FCOS (arXiv:1904.01355), eq. 2, with the weights and the generalised IoU (arXiv:1902.09630) of
    its authors' code. Deviation: along one axis, the generalised IoU equals the IoU for a span that contains its point,
    because the moment contains the point too.
    """

    inputs = ("candidates", "points", "targets")

    def forward(self, candidates: Candidates, points: PointAnswers, targets: Targets) -> Tensor:
        """Return a scalar from candidates with one point each."""
        assigned = assign_points(points, targets, candidates.valid)
        found = compute_generalized_iou(candidates.spans[..., None, :], assigned.spans[..., None, :])[..., 0, 0]  # (B, M)
        total = assigned.centreness.sum().clamp_min(torch.finfo(found.dtype).tiny)
        return ((1 - found) * assigned.centreness).sum() / total


class FCOSRegressionParams(TermParams):
    """Values of the regression loss: only the weight."""

    name: Literal["fcos_regression"]

    def build(self, dims: LossDims) -> FCOSRegressionLoss:
        """Return the loss."""
        return FCOSRegressionLoss()
