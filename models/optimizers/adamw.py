"""AdamW: steps scaled by running moments of the gradient, with decoupled weight decay."""

from typing import Literal

import torch
from pydantic import NonNegativeFloat, PositiveFloat
from torch.optim import Optimizer

from models.optimizers.base import OptimizerParams, Trainees, group_parameters


class AdamWParams(OptimizerParams):
    """Values of AdamW (Loshchilov and Hutter 2019, arXiv:1711.05101); without decay it is Adam (arXiv:1412.6980)."""

    name: Literal["adamw"] = "adamw"
    learning_rate: PositiveFloat
    weight_decay: NonNegativeFloat = 0.01  # of matrices; vectors (biases, norms) do not decay

    def build(self, trainees: Trainees) -> Optimizer:
        """Return torch's AdamW."""
        return torch.optim.AdamW(group_parameters(trainees, weight_decay=self.weight_decay), lr=self.learning_rate)
