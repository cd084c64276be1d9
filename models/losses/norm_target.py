"""Penalty on the distance of embeddings from a sphere."""

from typing import Literal

import torch
from pydantic import PositiveFloat
from torch import Tensor

from models.contracts.batches import LossDims
from models.losses.norm import NormParams, NormTerm


class NormTargetLoss(NormTerm):
    """Mean (|x| - radius)^2. Own formula: it keeps lengths near a value, whereas `norm_l2` pulls them to 0."""

    def __init__(self, params: "NormTargetParams") -> None:
        """Store the radius."""
        super().__init__(params)
        self.radius = params.radius

    def penalise(self, vectors: Tensor) -> Tensor:
        """Return the mean squared distance of vectors (R, E) from the sphere."""
        distances: Tensor = torch.linalg.vector_norm(vectors, dim=-1) - self.radius  # (R,)
        return distances.square().mean()


class NormTargetParams(NormParams):
    """Values of the penalty on the distance from a sphere."""

    name: Literal["norm_target"]
    radius: PositiveFloat = 1.0

    def build(self, dims: LossDims) -> NormTargetLoss:
        """Return the loss."""
        return NormTargetLoss(self)
