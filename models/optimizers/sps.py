"""SPS, the stochastic Polyak step: gradient descent with a step length computed from the loss, without a learning rate.

Letters: f the loss of a batch, f* its lowest value, g its gradient over all parameters, n steps of an epoch.
"""

from collections.abc import Callable, Iterable
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field, PositiveFloat
from torch import Tensor
from torch.optim import Optimizer

from models.optimizers.base import OptimizerParams, Trainees


class SPS(Optimizer):
    """Bounded steps along -g with the length eta = (f - f*) / (c * |g|^2 + eps); the `lr` of each group multiplies it.

    Source: Loizou et al., AISTATS 2021 (arXiv:2002.10542), equations 2 (SPS), 3 (SPS_max: eta <= max_step) and section 4
    (smoothing: eta_t <= growth^(1/n) * eta_(t-1)), and the authors' code, whose eps is kept. Deviations: the groups
    store the last step length, so that `state_dict`, schedules and resuming work; a batch at f*, or without gradient, moves
    nothing and keeps the last step length, because smoothing would otherwise stay at zero forever.
    """

    def __init__(
        self,
        params: Iterable[Any],
        *,
        scale: float = 0.5,
        lowest_loss: float = 0.0,
        max_step: float | None = None,
        growth: float | None = None,
        initial_step: float = 1.0,
        eps: float = 1e-8,
    ) -> None:
        """Store c, f*, the maximum step, its growth between steps, and the length before the first step."""
        super().__init__(params, {"lr": 1.0, "step_length": initial_step})
        self._scale, self._lowest_loss, self._eps = scale, lowest_loss, eps
        self._max_step, self._growth = max_step, growth

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Take one step and return the loss of `closure`, which must compute the gradients too.

        Raises:
            TypeError: without a closure.
            ValueError: when the loss lies below f*.
        """
        if closure is None:
            raise TypeError("SPS.step needs a closure that computes the gradients and returns the loss, got None")
        with torch.enable_grad():
            loss = closure()
        excess = loss.item() - self._lowest_loss
        if excess < 0:
            raise ValueError(
                f"sps needs losses of at least training.optimizer.lowest_loss = {self._lowest_loss}, got {loss.item()}; "
                "lower it to a bound that holds, or choose another optimizer"
            )
        squared = self._sum_squares()
        if excess > 0 and squared > 0:
            self._move(self._bound(excess / (self._scale * squared + self._eps)))
        return loss

    def _sum_squares(self) -> float:
        squares = [gradient.square().sum(dtype=torch.float64) for _, _, gradient in self._list_moved()]
        return float(torch.stack(squares).sum()) if squares else 0.0

    def _bound(self, length: float) -> float:
        if self._max_step is not None:
            length = min(length, self._max_step)
        if self._growth is not None:
            length = min(length, self._growth * float(self.param_groups[0]["step_length"]))
        return length

    @torch.no_grad()
    def _move(self, length: float) -> None:
        for group, parameter, gradient in self._list_moved():
            parameter.add_(gradient, alpha=-length * group["lr"])
        for group in self.param_groups:
            group["step_length"] = length

    def _list_moved(self) -> list[tuple[dict[str, Any], Tensor, Tensor]]:
        """Return every parameter that has a gradient, with its group and the gradient."""
        pairs = [(group, parameter) for group in self.param_groups for parameter in group["params"]]
        return [(group, parameter, parameter.grad) for group, parameter in pairs if parameter.grad is not None]


class SPSParams(OptimizerParams):
    """Values of `SPS`. It uses one step length for all parameters, so losses with their own learning rate are refused."""

    remedy: ClassVar[str] = "training.optimizer.max_step"
    reads_loss: ClassVar[bool] = True

    name: Literal["sps"]
    scale: PositiveFloat = 0.5  # c; larger values give shorter steps
    lowest_loss: float = 0.0  # f*, of the weighted sum of losses
    max_step: PositiveFloat | None = None  # maximum step length; null: unlimited
    growth: Annotated[float, Field(ge=1)] | None = 2.0  # maximum growth of the step length within an epoch; null: unlimited
    initial_step: PositiveFloat = 1.0  # step length before the first step

    def build(self, trainees: Trainees) -> Optimizer:
        """Return the optimizer.

        Raises:
            ValueError: when a loss has its own parameters.
        """
        if trainees.learned:
            raise ValueError(
                f"sps uses one step length for all parameters, but {len(trainees.learned)} of the losses have parameters with a "
                "learning rate of their own; choose another optimizer or other losses"
            )
        return SPS(
            trainees.parameters,
            scale=self.scale,
            lowest_loss=self.lowest_loss,
            max_step=self.max_step,
            growth=None if self.growth is None else self.growth ** (1 / trainees.steps_per_epoch),
            initial_step=self.initial_step,
        )
