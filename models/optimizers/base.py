"""Interface of optimizers: the common schema, and parameter groups."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

from torch import nn
from torch.optim import Optimizer

from corpus.params import Params
from models.losses.base import LearnedGroup


class Trainees(NamedTuple):
    """The parameters to optimize, and the number of optimizer steps of an epoch."""

    parameters: Sequence[nn.Parameter]  # of the model
    learned: Sequence[LearnedGroup]  # of losses, each with its own learning rate
    steps_per_epoch: int


class OptimizerParams(Params, ABC):
    """Schema shared by all optimizers. `remedy` names the value to lower when a loss is not finite."""

    remedy: ClassVar[str] = "training.optimizer.learning_rate"
    reads_loss: ClassVar[bool] = False  # whether its step depends on the loss of one batch and its unmodified gradients

    @abstractmethod
    def build(self, trainees: Trainees) -> Optimizer:
        """Return the optimizer; a schedule multiplies the rates of all its groups."""


def group_parameters(trainees: Trainees, *, weight_decay: float) -> list[dict[str, Any]]:
    """Return the groups of a decaying optimizer: matrices decay; vectors (biases, norms) and parameters of losses do not."""
    groups: list[dict[str, Any]] = [
        {"params": [parameter for parameter in trainees.parameters if parameter.ndim > 1], "weight_decay": weight_decay},
        {"params": [parameter for parameter in trainees.parameters if parameter.ndim <= 1], "weight_decay": 0.0},
    ]
    return groups + [{"params": own, "lr": rate, "weight_decay": 0.0} for own, rate in trainees.learned]


def name_default(values: object) -> object:
    """Return the values of an optimizer, with the default name `adamw`."""
    return {"name": "adamw", **values} if isinstance(values, dict) else values
