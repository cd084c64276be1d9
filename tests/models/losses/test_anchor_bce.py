"""Anchor loss on candidates."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from models.losses.anchor_bce import AnchorBCELoss, AnchorBCEParams
from models.losses.base import NO_DIMS


def build(**values: Any) -> AnchorBCELoss:
    return AnchorBCEParams(name="anchor_bce", **values).build(NO_DIMS)


def slow_anchor(scores: Tensor, iou: Tensor, valid: Tensor, *, anchor: str, gamma: float, slack: float) -> float:
    total = 0.0
    for row in range(len(scores)):
        used = [index for index in range(scores.shape[1]) if valid[row, index]]
        target = max(used, key=lambda index: iou[row, index].item())
        probability = {index: 1 / (1 + math.exp(-scores[row, index].item())) for index in used}
        others = [index for index in used if index != target and iou[row, index] < 0.5]
        highest = max(probability[index] for index in others)
        near = min(highest + slack, 1)
        factor = (1 - probability[target] + near) ** gamma if anchor == "pos" else 1.0
        total -= factor * math.log(probability[target])
        for index in others:
            least = max(probability[target] - slack, 0)
            factor = (1 + probability[index] - least) ** gamma if anchor == "neg" else 1.0
            total -= factor * math.log(1 - probability[index])
    return total / len(scores)


@pytest.mark.parametrize("anchor", ["neg", "pos"])
def test_it_agrees_with_a_slow_loop(scores: Tensor, iou: Tensor, valid: Tensor, anchor: str) -> None:
    loss = build(anchor=anchor, gamma=0.7, slack=0.1)(scores, iou, valid, 0.0)
    assert loss.item() == pytest.approx(slow_anchor(scores, iou, valid, anchor=anchor, gamma=0.7, slack=0.1), rel=1e-5)


@pytest.mark.parametrize("values", [{"gamma": 0.0}, {"gamma": 0.0, "anchor": "pos"}, {"warmup_epochs": 5.0}])
def test_without_gamma_and_during_warm_up_it_is_the_sum_of_bce(values: dict[str, Any]) -> None:
    scores, iou = torch.tensor([[0.4, -0.3, 1.2, 5.0]]), torch.tensor([[0.9, 0.2, 0.1, 0.6]])
    loss = build(**values)(scores, iou, torch.ones(1, 4, dtype=torch.bool), 4.9)
    expected = F.binary_cross_entropy_with_logits(scores[:, :3], torch.tensor([[1.0, 0.0, 0.0]]), reduction="sum")
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)


def test_warm_up_ends() -> None:
    scores, iou, valid = torch.tensor([[0.4, -0.3]]), torch.tensor([[0.9, 0.2]]), torch.ones(1, 2, dtype=torch.bool)
    assert torch.equal(build(warmup_epochs=5)(scores, iou, valid, 5.0), build()(scores, iou, valid, 0.0))


@pytest.mark.parametrize(("shift", "sign"), [(0.0, 0), (0.1, 1), (-0.1, -1)])
def test_a_non_target_counts_more_than_plainly_just_where_it_comes_above_the_anchor(shift: float, sign: int) -> None:
    """The anchor is the target's probability of 0.8 minus the slack of 0.05."""
    scores = torch.logit(torch.tensor([[0.8, 0.75 + shift]]))
    given = (scores, torch.tensor([[0.9, 0.1]]), torch.ones(1, 2, dtype=torch.bool), 0.0)
    difference = build()(*given).item() - build(gamma=0.0)(*given).item()
    assert (0 if abs(difference) < 1e-6 else math.copysign(1, difference)) == sign


def test_no_gradient_flows_through_the_anchor() -> None:
    scores = torch.tensor([[0.4, -0.3, 1.2]], requires_grad=True)
    build()(scores, torch.tensor([[0.9, 0.2, 0.1]]), torch.ones(1, 3, dtype=torch.bool), 0.0).backward()
    assert scores.grad is not None
    assert scores.grad[0, 0].item() == pytest.approx(torch.sigmoid(torch.tensor(0.4)).item() - 1, rel=1e-6)


def test_candidates_between_target_and_non_targets_take_no_part() -> None:
    scores = torch.tensor([[0.4, -0.3, 1.2]], requires_grad=True)
    build()(scores, torch.tensor([[0.9, 0.2, 0.5]]), torch.ones(1, 3, dtype=torch.bool), 0.0).backward()
    assert scores.grad is not None
    assert scores.grad[0, 2] == 0


def test_the_best_candidate_is_the_target_even_where_it_overlaps_little() -> None:
    scores, iou = torch.tensor([[0.4, -0.3]]), torch.tensor([[0.2, 0.1]])
    loss = build(gamma=0.0)(scores, iou, torch.ones(1, 2, dtype=torch.bool), 0.0)
    assert loss.item() == pytest.approx(math.log1p(math.exp(-0.4)) + math.log1p(math.exp(-0.3)), rel=1e-6)
