"""MIL-NCE: contrasts bags, a moment with all its matching sentences, with all other pairs of the batch.

Letters: B pairs, E embedding width.
"""

from typing import Literal

from pydantic import PositiveFloat
from torch import Tensor

from models.contracts.batches import LossDims
from models.layers.multiple_instance_nce import compute_joint_nce, find_matches
from models.losses.base import LossTerm, TermParams

Denominator = Literal["paper", "released"]


class MILNCELoss(LossTerm):
    """MIL-NCE over matched (moment, query) pairs, averaged over moments, in nats.

    The bag of a moment contains its own query and the queries of further matching rows. One denominator holds the other
    queries for the moment and, for every query of the bag, the moments that do not match it. `released` counts positives
    twice there, as the authors' code does: without signal it costs log 2B, and the paper's form log(2B - 1).
    Source: Miech et al. 2020 (arXiv:1912.06430), eq. 1. Deviations: bags come from matching rows instead of captions
    close in time, so a sentence that occurs twice in a batch counts twice; dot products are divided by a temperature, for
    models with unit vectors (the default 1 is the paper's form).
    """

    inputs = ("moments", "queries", "false_negatives")

    def __init__(self, *, temperature: float, denominator: Denominator) -> None:
        """Store the temperature and the form of the denominator."""
        super().__init__()
        self.temperature = temperature
        self.denominator = denominator

    def forward(self, moments: Tensor, queries: Tensor, false_negatives: Tensor) -> Tensor:
        """Return a scalar from embeddings (B, E), not normalised here, and the further matching pairs, (B, B) bool."""
        scores = moments @ queries.T / self.temperature  # (B, B)
        return compute_joint_nce(scores, find_matches(false_negatives), repeat_positives=self.denominator == "released")


class MILNCEParams(TermParams):
    """Values of MIL-NCE."""

    name: Literal["mil_nce"]
    temperature: PositiveFloat = 1.0
    denominator: Denominator = "paper"

    def build(self, dims: LossDims) -> MILNCELoss:
        """Return the loss."""
        return MILNCELoss(temperature=self.temperature, denominator=self.denominator)
