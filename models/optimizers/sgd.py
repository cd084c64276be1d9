"""Stochastic gradient descent, with momentum (Polyak's or Nesterov's) and weight decay."""

from typing import Annotated, Literal, Self

import torch
from pydantic import Field, NonNegativeFloat, PositiveFloat, model_validator
from torch.optim import Optimizer

from models.optimizers.base import OptimizerParams, Trainees, group_parameters


class SGDParams(OptimizerParams):
    """SGD with momentum (Sutskever et al. 2013) in torch's form: the rate multiplies the momentum buffer."""

    name: Literal["sgd"]
    learning_rate: PositiveFloat
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    nesterov: bool = False  # use look-ahead momentum
    weight_decay: NonNegativeFloat = 0.0  # of matrices; vectors (biases, norms) do not decay

    @model_validator(mode="after")
    def _check_momentum(self) -> Self:
        if self.nesterov and not self.momentum:
            raise ValueError("sgd with nesterov: true needs momentum > 0, got momentum 0")
        return self

    def build(self, trainees: Trainees) -> Optimizer:
        """Return torch's SGD."""
        groups = group_parameters(trainees, weight_decay=self.weight_decay)
        return torch.optim.SGD(groups, lr=self.learning_rate, momentum=self.momentum, nesterov=self.nesterov)
