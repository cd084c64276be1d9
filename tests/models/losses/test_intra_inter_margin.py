"""Margin ranking of candidates."""

from typing import Any

import pytest
import torch
from torch import Tensor

from models.contracts.batches import Candidates
from models.losses.base import NO_DIMS
from models.losses.intra_inter_margin import IntraInterMarginLoss, IntraInterMarginParams

IOU = torch.tensor([[0.1, 0.9, 0.3, 0.5]])
VALID = torch.ones(1, 4, dtype=torch.bool)


def build(**values: Any) -> IntraInterMarginLoss:
    return IntraInterMarginParams(name="intra_inter_margin", **{"negatives": "all", **values}).build(NO_DIMS)


def compute(loss: IntraInterMarginLoss, scores: Tensor, others: Tensor, *, iou: Tensor = IOU, differs: bool = True) -> Tensor:
    valid = torch.ones_like(scores, dtype=torch.bool)
    there = Candidates(torch.zeros(*scores.shape, 2), others, valid)
    value: Tensor = loss(scores, iou, valid, there, torch.full((len(scores),), differs))
    return value


def test_a_case_by_hand() -> None:
    """Distances -1, -0.95, -2, 5 with positive -0.95: hinges 0.15 and 1.15 in its video, 0.35 in the other one."""
    value = compute(build(), torch.tensor([[1.0, 0.95, 2.0, -5.0]]), torch.tensor([[9.0, 1.2, 9.0, 9.0]]))
    assert value.item() == pytest.approx(0.5 * (0.15 + 1.15) / 2 + 0.2 * 0.35, rel=1e-5)


@pytest.mark.parametrize("negatives", ["all", "drawn"])
def test_equal_distances_cost_the_margin_by_both_weights(negatives: str) -> None:
    value = compute(build(negatives=negatives, margin=0.3), torch.zeros(1, 4), torch.zeros(1, 4))
    assert value.item() == pytest.approx(0.3 * (0.5 + 0.2))


@pytest.mark.parametrize("negatives", ["all", "drawn"])
def test_an_order_with_a_gap_of_the_margin_costs_nothing(negatives: str) -> None:
    value = compute(build(negatives=negatives), torch.tensor([[0.0, 0.2, 0.0, 9.0]]), torch.tensor([[9.0, 0.1, 9.0, 9.0]]))
    assert value.item() == pytest.approx(0, abs=1e-6)


def test_no_drawn_negative_overlaps_by_as_much_as_the_limit() -> None:
    torch.manual_seed(0)
    scores = torch.zeros(1000, 4, requires_grad=True)
    compute(build(negatives="drawn"), scores, torch.zeros(1000, 4), iou=IOU.expand(1000, 4)).backward()
    assert scores.grad is not None
    pushed = scores.grad > 0  # descent lowers the scores of negatives
    assert not pushed[:, [1, 3]].any()
    assert (pushed.sum(1) == 1).all()
    assert 400 < pushed[:, 0].sum() < 600


def test_draws_follow_the_seed() -> None:
    scores, iou = torch.randn(8, 40), torch.rand(8, 40)
    values = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        values.append(compute(build(negatives="drawn", margin=3.0), scores, scores, iou=iou))
    assert torch.equal(values[0], values[1])
    assert not torch.equal(values[0], values[2])


def test_a_batch_of_one_video_has_no_inter_part() -> None:
    value = compute(build(), torch.zeros(1, 4), torch.zeros(1, 4), differs=False)
    assert value.item() == pytest.approx(0.5 * 0.1)


def test_rows_without_negatives_do_not_thin_the_mean() -> None:
    iou = torch.cat([IOU, torch.full((1, 4), 0.8)])
    value = compute(build(inter_weight=0.0), torch.zeros(2, 4), torch.zeros(2, 4), iou=iou)
    assert value.item() == pytest.approx(0.5 * 0.1)


def test_the_best_candidate_is_not_its_own_negative() -> None:
    value = compute(build(inter_weight=0.0), torch.zeros(1, 2), torch.zeros(1, 2), iou=torch.tensor([[0.2, 0.6]]))
    alone = compute(build(inter_weight=0.0), torch.zeros(1, 1), torch.zeros(1, 1), iou=torch.tensor([[0.2]]))
    assert value.item() == pytest.approx(0.05)
    assert alone.item() == 0
