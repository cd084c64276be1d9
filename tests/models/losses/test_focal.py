"""Focal binary cross entropy on scaled IoU."""

import math

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from models.losses.focal import FocalLoss, FocalParams
from models.losses.scaled_iou_bce import ScaledIoUBCELoss

ALL_VALID = torch.ones(1, 2, dtype=torch.bool)


def slow_focal(score: float, iou: float, *, gamma: float, alpha: float) -> float:
    """Return the focal loss by eq. 5 for a target of 0 or 1."""
    probability = 1 / (1 + math.exp(-score))
    right, weight = (probability, alpha) if iou == 1 else (1 - probability, 1 - alpha)
    return -weight * (1 - right) ** gamma * math.log(right)


def test_targets_of_0_and_1_give_the_focal_loss() -> None:
    loss = FocalLoss(gamma=2.0, alpha=0.25, min_iou=0.5, max_iou=1.0)(
        torch.tensor([[0.7, -1.2]]), torch.tensor([[1.0, 0.3]]), ALL_VALID
    )
    expected = (slow_focal(0.7, 1.0, gamma=2.0, alpha=0.25) + slow_focal(-1.2, 0.3, gamma=2.0, alpha=0.25)) / 2
    assert loss.item() == pytest.approx(expected, rel=1e-5)


def test_a_soft_target_by_hand() -> None:
    """IoU 0.75 has target 1/2; a score of log 3 has probability 3/4, so BCE counts by (1/4)^2."""
    loss = FocalLoss(gamma=2.0, alpha=None, min_iou=0.5, max_iou=1.0)
    value = loss(torch.tensor([[math.log(3)]]), torch.tensor([[0.75]]), ALL_VALID[:, :1])
    assert value.item() == pytest.approx(-(math.log(0.75) + math.log(0.25)) / 2 / 16, rel=1e-5)


def test_gamma_0_is_scaled_iou_bce(scores: Tensor, iou: Tensor, valid: Tensor) -> None:
    loss = FocalLoss(gamma=0.0, alpha=None, min_iou=0.3, max_iou=0.7)(scores, iou, valid)
    expected = ScaledIoUBCELoss(min_iou=0.3, max_iou=0.7, bias=0.0)(scores, iou, valid)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)


def test_a_score_that_says_its_soft_target_costs_nothing() -> None:
    loss = FocalLoss(gamma=2.0, alpha=None, min_iou=0.0, max_iou=1.0)
    score = torch.tensor([[math.log(3)]], requires_grad=True)
    value = loss(score, torch.tensor([[0.75]]), ALL_VALID[:, :1])
    value.backward()
    assert value.item() == pytest.approx(0, abs=1e-12)
    assert score.grad is not None
    assert score.grad.item() == pytest.approx(0, abs=1e-6)


def test_values_without_a_bounded_gradient_or_an_empty_band_are_refused() -> None:
    with pytest.raises(ValidationError, match=r"gamma = 0 or gamma >= 1, got 0\.5"):
        FocalParams(name="focal", gamma=0.5)
    with pytest.raises(ValidationError, match=r"focal needs min_iou < max_iou, got min_iou=0\.8, max_iou=0\.7"):
        FocalParams(name="focal", min_iou=0.8, max_iou=0.7)
