"""Optimizers: the stochastic Polyak step against its formula, parameter groups, and errors."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from pydantic import TypeAdapter, ValidationError
from torch import Tensor, nn

from models.losses.base import LearnedGroup
from models.optimizers import OptimizerParams
from models.optimizers.base import Trainees
from models.optimizers.sps import SPS
from models.training.schema import TrainingParams


def read_params(**values: Any) -> Any:
    return TypeAdapter(OptimizerParams).validate_python(values)


def read_training(**values: Any) -> TrainingParams:
    return TrainingParams.model_validate({"max_epochs": 1, "batch_size": 2, **values})


def take_step(optimizer: SPS, compute_loss: Callable[[], Tensor]) -> None:
    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = compute_loss()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimizer.step(closure)


def build_trainees(*, learned: bool = False) -> Trainees:
    torch.manual_seed(0)
    groups = [LearnedGroup([nn.Parameter(torch.ones(2, 2))], 0.5)] if learned else []
    return Trainees(list(nn.Linear(3, 2).parameters()), groups, steps_per_epoch=4)


def test_a_polyak_step_on_half_a_square_has_length_1_and_reaches_the_optimum() -> None:
    point = nn.Parameter(torch.tensor([3.0, -4.0]))
    optimizer = SPS([point], scale=0.5)
    take_step(optimizer, lambda: point.square().sum() / 2)
    assert optimizer.param_groups[0]["step_length"] == pytest.approx(1.0)
    torch.testing.assert_close(point.detach(), torch.zeros(2), atol=1e-6, rtol=0)


def test_a_polyak_step_is_the_loss_above_its_lowest_value_over_the_squared_gradient_of_all_parameters() -> None:
    torch.manual_seed(1)
    left, right = nn.Parameter(torch.randn(3, dtype=torch.float64)), nn.Parameter(torch.randn(2, dtype=torch.float64))
    before = [left.detach().clone(), right.detach().clone()]
    take_step(SPS([left, right], scale=2.0, lowest_loss=0.5), lambda: 1 + left.pow(4).sum() + right.square().sum())
    gradients = [4 * before[0] ** 3, 2 * before[1]]
    excess = 1 + (before[0] ** 4).sum() + (before[1] ** 2).sum() - 0.5
    length = excess / (2.0 * sum((gradient**2).sum() for gradient in gradients) + 1e-8)
    torch.testing.assert_close(left.detach(), before[0] - length * gradients[0])
    torch.testing.assert_close(right.detach(), before[1] - length * gradients[1])


@pytest.mark.parametrize("factor", [0.01, 100.0])
def test_scaling_the_loss_leaves_the_polyak_update_as_it_is(factor: float) -> None:
    points = [nn.Parameter(torch.tensor([3.0, -4.0])) for _ in range(2)]
    for point, weight in zip(points, (1.0, factor), strict=True):
        take_step(SPS([point], scale=2.0), lambda point=point, weight=weight: weight * point.square().sum())  # type: ignore[misc]
    torch.testing.assert_close(points[1].detach(), points[0].detach())


def test_a_loss_at_its_lowest_value_moves_nothing_and_does_not_stop_later_steps() -> None:
    point = nn.Parameter(torch.tensor([2.0]))
    optimizer = SPS([point], growth=2.0)
    take_step(optimizer, lambda: 0.0 * point.sum())
    assert point.item() == 2.0
    take_step(optimizer, lambda: point.square().sum())
    assert abs(point.item()) < 2.0


def test_a_polyak_step_grows_no_faster_than_its_bound() -> None:
    point = nn.Parameter(torch.tensor([1.0]))
    optimizer = SPS([point], growth=1.5, initial_step=0.1)
    lengths = []
    for _ in range(4):
        take_step(optimizer, lambda: (1e-3 * point).square().sum() + 1)  # a flat loss far from 0 asks for huge steps
        lengths.append(optimizer.param_groups[0]["step_length"])
    assert lengths == pytest.approx([0.1 * 1.5**step for step in (1, 2, 3, 4)])


def test_a_polyak_step_is_at_most_the_largest_one() -> None:
    point = nn.Parameter(torch.tensor([1.0]))
    optimizer = SPS([point], max_step=0.25)
    take_step(optimizer, lambda: point.square().sum() / 2)
    assert point.item() == pytest.approx(0.75)


def test_the_growth_of_a_polyak_step_is_spread_over_an_epoch() -> None:
    optimizer = read_params(name="sps", growth=16.0).build(build_trainees())
    (group,) = optimizer.param_groups
    weight = group["params"][0]
    for _ in range(4):
        take_step(optimizer, lambda: weight.sum() * 1e-6 + 1)
    assert group["step_length"] == pytest.approx(16.0)


def test_a_schedule_multiplies_a_polyak_step() -> None:
    point = nn.Parameter(torch.tensor([2.0]))
    optimizer = SPS([point])
    optimizer.param_groups[0]["lr"] = 0.5
    take_step(optimizer, lambda: point.square().sum() / 2)
    assert point.item() == pytest.approx(1.0)


def test_the_last_polyak_step_survives_a_round_trip_of_the_state() -> None:
    first, second = (SPS([nn.Parameter(torch.tensor([1.0]))], growth=1.1) for _ in range(2))
    take_step(first, lambda: first.param_groups[0]["params"][0].square().sum())
    second.load_state_dict(first.state_dict())
    assert second.param_groups[0]["step_length"] == first.param_groups[0]["step_length"] == pytest.approx(0.5)


def test_a_loss_below_its_lowest_value_is_refused() -> None:
    point = nn.Parameter(torch.tensor([1.0]))
    with pytest.raises(
        ValueError, match=r"sps needs losses of at least training.optimizer.lowest_loss = 0.0, got -1.0; lower it"
    ):
        take_step(SPS([point]), lambda: -point.sum())


def test_a_polyak_step_without_a_closure_is_refused() -> None:
    with pytest.raises(TypeError, match="needs a closure that computes the gradients and returns the loss, got None"):
        SPS([nn.Parameter(torch.ones(1))]).step()


def test_sps_refuses_losses_with_a_rate_of_their_own() -> None:
    with pytest.raises(
        ValueError, match="one step length for all parameters, but 1 of the losses have parameters with a learning rate"
    ):
        read_params(name="sps").build(build_trainees(learned=True))


@pytest.mark.parametrize(
    ("values", "remedy"),
    [
        ({}, "gradient_clip_norm: null"),
        ({"gradient_clip_norm": None, "accumulate_batches": 2}, "accumulate_batches: 1"),
        ({"gradient_clip_norm": None, "precision": "16-mixed"}, "precision: 32"),
    ],
)
def test_sps_refuses_values_that_change_gradients_without_the_loss(values: dict[str, Any], remedy: str) -> None:
    with pytest.raises(ValidationError, match=f"'sps' takes its step from the loss and the gradients .*; set {remedy}"):
        read_training(optimizer={"name": "sps"}, **values)


def test_sps_takes_gradients_as_they_are() -> None:
    assert read_training(optimizer={"name": "sps"}, gradient_clip_norm=None, precision="bf16-mixed").optimizer.name == "sps"


@pytest.mark.parametrize("name", ["adamw", "sgd"])
def test_matrices_decay_and_vectors_and_parameters_of_losses_do_not(name: str) -> None:
    optimizer = read_params(name=name, learning_rate=0.01, weight_decay=0.2).build(build_trainees(learned=True))
    found = [
        (group["lr"], group["weight_decay"], [tuple(one.shape) for one in group["params"]]) for group in optimizer.param_groups
    ]
    assert found == [(0.01, 0.2, [(2, 3)]), (0.01, 0.0, [(2,)]), (0.5, 0.0, [(2, 2)])]


@pytest.mark.parametrize("nesterov", [False, True])
def test_two_steps_of_sgd_are_those_of_momentum(nesterov: bool) -> None:
    point = nn.Parameter(torch.tensor([1.0]))
    params = read_params(name="sgd", learning_rate=0.1, momentum=0.5, nesterov=nesterov)
    optimizer = params.build(Trainees([point], [], 1))
    expected, speed = 1.0, 0.0
    for _ in range(2):
        optimizer.zero_grad()
        (2 * point).sum().backward()
        optimizer.step()
        speed = 0.5 * speed + 2.0
        expected -= 0.1 * (2.0 + 0.5 * speed if nesterov else speed)
    assert point.item() == pytest.approx(expected)


def test_nesterov_without_momentum_is_refused() -> None:
    with pytest.raises(ValidationError, match="nesterov: true needs momentum > 0"):
        read_params(name="sgd", learning_rate=0.1, momentum=0.0, nesterov=True)


def test_an_optimizer_without_a_name_is_adamw() -> None:
    assert read_params(learning_rate=0.1).name == "adamw"
