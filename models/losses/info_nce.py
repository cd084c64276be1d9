"""InfoNCE: contrasts matched moments and queries with all others of the batch.

Letters: B pairs, E embedding width.
"""

from typing import Literal

import torch
from pydantic import PositiveFloat
from torch import Tensor
from torch.nn import functional as F

from models.contracts.batches import LossDims
from models.losses.base import LossTerm, TermParams


class InfoNCELoss(LossTerm):
    """Symmetric InfoNCE over matched (moment, query) pairs, averaged over both directions and rows, in nats.

    Row i of both inputs is a positive pair; all other rows are negatives. Rows marked as further matches are left out of the
    denominator.
    Source: van den Oord et al. 2018 (arXiv:1807.03748), eq. 4, in both directions.
    Deviation: the mask of false negatives, because a sentence can be true in several moments of a batch.
    """

    inputs = ("moments", "queries", "false_negatives")

    def __init__(self, temperature: float) -> None:
        """Store the temperature."""
        super().__init__()
        self.temperature = temperature

    def forward(self, moments: Tensor, queries: Tensor, false_negatives: Tensor) -> Tensor:
        """Return a scalar; embeddings are (B, E) and need not be normalised, `false_negatives` is (B, B) bool.

        Entry (i, j) of the mask drops moment i against query j; its diagonal is ignored.
        """
        if moments.shape != queries.shape:
            raise ValueError(f"expected one shape, got moments {tuple(moments.shape)}, queries {tuple(queries.shape)}")
        logits = F.normalize(moments, dim=-1) @ F.normalize(queries, dim=-1).T / self.temperature  # (B, B)
        target = torch.arange(len(logits), device=logits.device)  # (B,)
        dropped = false_negatives & (target[:, None] != target[None, :])
        logits = logits.masked_fill(dropped, float("-inf"))
        return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2


class InfoNCEParams(TermParams):
    """Values of InfoNCE."""

    name: Literal["info_nce"]
    temperature: PositiveFloat = 0.07

    def build(self, dims: LossDims) -> InfoNCELoss:
        """Return the loss."""
        return InfoNCELoss(self.temperature)
