"""The experiments on rounding: nudged weights, and distances between weights."""

import pytest
import torch
from benchmarks.luck import LOCALIZERS, PRETRAININGS
from benchmarks.luck_page import STEPS
from benchmarks.luck_training import compare_weights, nudge, select_part
from torch import nn


def test_a_nudge_moves_each_weight_to_the_next_larger_number() -> None:
    layer = nn.Linear(3, 2)
    before = [weight.detach().clone() for weight in layer.parameters()]
    nudge(layer)
    for weight, old in zip(layer.parameters(), before, strict=True):
        assert (weight > old).all()
        assert torch.equal(torch.nextafter(weight.detach(), torch.full_like(old, float("-inf"))), old)


def test_the_distance_is_relative_to_the_first_weights() -> None:
    left = {"a": torch.tensor([3.0, 0.0]), "b": torch.tensor([[4.0]]), "steps": torch.tensor(7)}
    right = {"a": torch.tensor([3.0, 1.0]), "b": torch.tensor([[4.0]]), "steps": torch.tensor(8)}
    assert compare_weights(left, right) == pytest.approx(1 / 5)
    assert compare_weights(left, left) == 0


def test_a_part_keeps_its_own_names() -> None:
    assert select_part({"video.a": 1, "text.a": 2, "video.b.c": 3}, "video") == {"a": 1, "b.c": 3}


def test_every_step_compares_trainings_that_are_run() -> None:
    trained = {plan.name for plan in LOCALIZERS}
    assert {name for step in STEPS for name in (step.left.name, step.right.name)} <= trained
    assert {plan.encoder for plan in LOCALIZERS} <= {plan.name for plan in PRETRAININGS}


def test_every_step_changes_one_thing() -> None:
    plans = {plan.name: plan for plan in LOCALIZERS}
    encoders = {plan.name: plan for plan in PRETRAININGS}

    def list_values(name: str) -> dict[str, object]:
        plan = plans[name]
        encoder = encoders[plan.encoder]
        own = {"weights": plan.weights, "isa": plan.isa, "seed": plan.seed, "nudged": plan.nudged}
        return own | {
            "encoder isa": encoder.isa,
            "encoder seed": encoder.seed,
            "encoder nudged": encoder.nudged,
            "threads": encoder.threads,
        }

    for step in STEPS:
        left, right = list_values(step.left.name), list_values(step.right.name)
        assert sum(left[name] != right[name] for name in left) == 1, step
