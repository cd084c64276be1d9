"""MIL-NCE with an angular term that ramps up during the first epochs.

Letters: B pairs, E embedding width.
"""

import math
from typing import Literal

import torch
from pydantic import Field, NonNegativeFloat, PositiveFloat
from torch import Tensor
from torch.nn import functional as F

from models.contracts.batches import LossDims
from models.layers.multiple_instance_nce import compute_joint_nce, find_matches
from models.losses.base import LossTerm, TermParams


class MILNCEAngularLoss(LossTerm):
    """MIL-NCE + beta * mean_i log(1 + sum_n exp(4 t (v_i + q_i).n - 2 (1 + t) v_i.q_i)), t = tan(angle)^2, in nats.

    v_i is a moment, q_i the best-scoring query of its bag, n the queries outside the bag; all are unit vectors in this term
    only. beta grows linearly from 0 over `ramp_epochs`. With beta 0, the value equals `mil_nce` bit for bit.
    Source: own combination of MIL-NCE (arXiv:1912.06430, eq. 1, the paper's denominator) with the angular loss of Wang et
    al. 2017 (arXiv:1708.01682), eq. 8.
    """

    inputs = ("moments", "queries", "false_negatives", "epoch")

    def __init__(self, *, temperature: float, angular_weight: float, angle_degrees: float, ramp_epochs: float) -> None:
        """Store the values; `angular_weight` is beta at the end of its ramp."""
        super().__init__()
        self.temperature = temperature
        self.angular_weight = angular_weight
        self.slope = math.tan(math.radians(angle_degrees)) ** 2
        self.ramp_epochs = ramp_epochs

    def forward(self, moments: Tensor, queries: Tensor, false_negatives: Tensor, epoch: float) -> Tensor:
        """Return a scalar from embeddings (B, E), the further matching pairs (B, B) bool and the finished epochs."""
        matches = find_matches(false_negatives)
        scores = moments @ queries.T / self.temperature  # (B, B)
        loss = compute_joint_nce(scores, matches)
        weight = self.compute_angular_weight(epoch)
        if weight == 0:
            return loss
        best = scores.masked_fill(~matches, -torch.inf).argmax(1)  # (B,)
        return loss + weight * self.compute_angular(F.normalize(moments, dim=-1), F.normalize(queries, dim=-1), best, matches)

    def compute_angular_weight(self, epoch: float) -> float:
        """Return beta at an epoch."""
        share = min(1.0, epoch / self.ramp_epochs) if self.ramp_epochs else 1.0
        return self.angular_weight * share

    def compute_angular(self, moments: Tensor, queries: Tensor, best: Tensor, matches: Tensor) -> Tensor:
        """Return the angular term of unit vectors (B, E) with the positive queries `best` (B,)."""
        positives = queries[best]  # (B, E)
        pull = (moments * positives).sum(1, keepdim=True)  # (B, 1)
        exponents = 4 * self.slope * ((moments + positives) @ queries.T) - 2 * (1 + self.slope) * pull  # (B, B)
        exponents = exponents.masked_fill(matches, -torch.inf)
        return torch.cat([torch.zeros_like(pull), exponents], dim=1).logsumexp(1).mean()


class MILNCEAngularParams(TermParams):
    """Values of MIL-NCE with an angular term."""

    name: Literal["mil_nce_angular"]
    temperature: PositiveFloat = 1.0  # of the MIL-NCE part
    angular_weight: NonNegativeFloat = 0.5
    angle_degrees: float = Field(default=45.0, gt=0, lt=90)
    ramp_epochs: NonNegativeFloat = 1.0

    def build(self, dims: LossDims) -> MILNCEAngularLoss:
        """Return the loss."""
        return MILNCEAngularLoss(
            temperature=self.temperature,
            angular_weight=self.angular_weight,
            angle_degrees=self.angle_degrees,
            ramp_epochs=self.ramp_epochs,
        )
