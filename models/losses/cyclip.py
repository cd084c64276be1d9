"""CyCLIP regularisers: consistent similarities within and across both kinds of embeddings, beside a contrastive loss.

Letters: B pairs, E embedding width.
"""

from typing import Literal

from pydantic import NonNegativeFloat
from torch import Tensor
from torch.nn import functional as F

from models.contracts.batches import LossDims
from models.losses.base import LossTerm, TermParams


class CyCLIPLoss(LossTerm):
    """a * B * mean_ij (v_i.v_j - t_i.t_j)^2 + b * B * mean_ij (v_i.t_j - v_j.t_i)^2 on unit vectors.

    The first part demands that two moments are as similar as their queries; the second, that moment i is as similar to query j
    as moment j to query i. Both are 0 if each moment equals its query.
    Source: Goel et al. 2022 (arXiv:2205.14459), eq. 2 and 3; the authors' code multiplies the mean by B, as here. Deviation:
    none in the formula; the contrastive loss is a separate term.
    """

    inputs = ("moments", "queries")

    def __init__(self, *, in_modal_weight: float, cross_modal_weight: float) -> None:
        """Store the weights of both parts."""
        super().__init__()
        self.in_modal_weight = in_modal_weight
        self.cross_modal_weight = cross_modal_weight

    def forward(self, moments: Tensor, queries: Tensor) -> Tensor:
        """Return a scalar; both inputs are (B, E) and need not be normalised."""
        moments, queries = F.normalize(moments, dim=-1), F.normalize(queries, dim=-1)
        in_modal = (moments @ moments.T - queries @ queries.T).square().mean()
        across = moments @ queries.T  # (B, B)
        cross_modal = (across - across.T).square().mean()
        return len(moments) * (self.in_modal_weight * in_modal + self.cross_modal_weight * cross_modal)


class CyCLIPParams(TermParams):
    """Values of the two regularisers of CyCLIP; the defaults are the paper's."""

    name: Literal["cyclip"]
    in_modal_weight: NonNegativeFloat = 0.25
    cross_modal_weight: NonNegativeFloat = 0.25

    def build(self, dims: LossDims) -> CyCLIPLoss:
        """Return the loss."""
        return CyCLIPLoss(in_modal_weight=self.in_modal_weight, cross_modal_weight=self.cross_modal_weight)
