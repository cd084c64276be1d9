"""Base of norm regularisers: choice of vectors, and a warning about unit vectors.

Letters: B rows, M candidates, E width, R vectors.
"""

import warnings
from abc import abstractmethod
from typing import Literal

import torch
from torch import Tensor

from models.losses.base import LossTerm, TermParams

TOLERANCE = 1e-4  # of the norm of a unit vector


class NormParams(TermParams):
    """Schema of norm regularisers: `on` chooses the vectors. Use a small weight beside other losses."""

    on: Literal["moments", "queries", "features"] = "queries"


class NormTerm(LossTerm):
    """Mean penalty on the norms of all vectors, or of the features of valid candidates.

    It warns once if the first batch has only unit vectors, because a model that normalises its vectors gets no gradient.
    """

    def __init__(self, params: NormParams) -> None:
        """Store the choice of vectors."""
        super().__init__()
        self.on = params.on
        self.inputs = ("features", "valid") if params.on == "features" else (params.on,)
        self._is_checked = False

    @abstractmethod
    def penalise(self, vectors: Tensor) -> Tensor:
        """Return the mean penalty of vectors (R, E), R > 0."""

    def forward(self, vectors: Tensor, valid: Tensor | None = None) -> Tensor:
        """Return a scalar from vectors (B, E), or (B, M, E) with their validity (B, M); 0 without vectors."""
        used = vectors if valid is None else vectors[valid]  # (R, E)
        if not len(used):
            return vectors.sum() * 0.0
        if not self._is_checked:
            self._warn_of_unit_vectors(used)
        return self.penalise(used)

    def _warn_of_unit_vectors(self, vectors: Tensor) -> None:
        norms = torch.linalg.vector_norm(vectors.detach(), dim=-1)
        if bool(((norms - 1).abs() < TOLERANCE).all()):
            warnings.warn(
                f"the norms of {self.on} are all 1: this model normalises them, and a regulariser of norms changes nothing",
                stacklevel=2,
            )
        self._is_checked = True
