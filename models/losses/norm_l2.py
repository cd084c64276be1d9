"""Penalty on the length of embeddings."""

from typing import Literal

from torch import Tensor

from models.contracts.batches import LossDims
from models.losses.norm import NormParams, NormTerm


class NormL2Loss(NormTerm):
    """Mean |x|, for losses on raw dot products, which always reward longer vectors.

    Source: `LpRegularizer` of pytorch-metric-learning.
    """

    def __init__(self, params: "NormL2Params") -> None:
        """Build the library's regulariser."""
        from pytorch_metric_learning.regularizers import LpRegularizer

        super().__init__(params)
        self.regulariser = LpRegularizer(p=2, power=1)

    def penalise(self, vectors: Tensor) -> Tensor:
        """Return the mean length of vectors (R, E)."""
        length: Tensor = self.regulariser(vectors)
        return length


class NormL2Params(NormParams):
    """Values of the penalty on length."""

    name: Literal["norm_l2"]

    def build(self, dims: LossDims) -> NormL2Loss:
        """Return the loss."""
        return NormL2Loss(self)
