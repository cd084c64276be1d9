"""Angular loss: bounds the angle at the negative in the triangle of anchor, positive and negative."""

from typing import Literal

from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from models.contracts.batches import LossDims
from models.losses.labelled import LabelledRows, LabelledTerm, PairwiseTermParams, Reading


class AngularLoss(LabelledTerm):
    """Mean over pairs (a, p) of one class of log(1 + sum_n exp(4 t (a + p).n - 2 (1 + t) a.p)), t = tan^2(angle), unit vectors.

    Source: Wang et al. 2017 (arXiv:1708.01682), eq. 8, computed by pytorch-metric-learning. Vectors are normalised first,
    because the library normalises anchors and positives, but not negatives.
    """

    def __init__(self, reading: Reading, *, angle_degrees: float) -> None:
        """Store the largest angle."""
        from pytorch_metric_learning.losses import AngularLoss as Library

        super().__init__(reading)
        self.library = Library(alpha=angle_degrees)

    def compute(self, rows: LabelledRows) -> Tensor:
        """Return a scalar; 0 without a positive pair or without a second class."""
        value: Tensor = self.library(F.normalize(rows.vectors, dim=-1), rows.classes)
        return value


class AngularParams(PairwiseTermParams):
    """Values of the angular loss."""

    name: Literal["angular"]
    angle_degrees: float = Field(default=40.0, gt=0, lt=90)

    def build(self, dims: LossDims) -> AngularLoss:
        """Return the loss."""
        return AngularLoss(self.choose_reading(), angle_degrees=self.angle_degrees)
