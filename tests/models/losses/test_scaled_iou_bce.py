"""Binary cross entropy against scaled IoU."""

import math

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor
from torch.nn import functional as F

from models.losses.scaled_iou_bce import ScaledIoUBCELoss, ScaledIoUBCEParams


def slow_scaled_iou_bce(scores: Tensor, iou: Tensor, valid: Tensor, low: float, high: float, bias: float) -> float:
    total, count = 0.0, 0
    for score, overlap, use in zip(scores.flatten().tolist(), iou.flatten().tolist(), valid.flatten().tolist(), strict=True):
        if not use:
            continue
        target = min(max((overlap - low) * (1 - bias) / (high - low), 0), 1)
        target = min(target + bias, 1) if target > 0 else target
        probability = 1 / (1 + math.exp(-score))
        total -= target * math.log(probability) + (1 - target) * math.log(1 - probability)
        count += 1
    return total / count


@pytest.mark.parametrize(("low", "high", "bias"), [(0.5, 1.0, 0.0), (0.3, 0.7, 0.0), (0.2, 0.9, 0.3)])
def test_scaled_iou_bce_agrees_with_a_slow_loop(
    scores: Tensor, iou: Tensor, valid: Tensor, low: float, high: float, bias: float
) -> None:
    loss = ScaledIoUBCELoss(min_iou=low, max_iou=high, bias=bias)(scores, iou, valid)
    assert loss.item() == pytest.approx(slow_scaled_iou_bce(scores, iou, valid, low, high, bias), rel=1e-5)


def test_scaled_iou_bce_over_the_whole_band_is_torch_bce_on_iou(scores: Tensor, iou: Tensor, valid: Tensor) -> None:
    loss = ScaledIoUBCELoss(min_iou=0.0, max_iou=1.0, bias=0.0)(scores, iou, valid)
    assert loss.item() == pytest.approx(F.binary_cross_entropy_with_logits(scores[valid], iou[valid]).item(), rel=1e-6)


def test_overlap_below_the_band_gives_target_0_and_the_gradient_of_a_negative(scores: Tensor) -> None:
    scores.requires_grad_(True)
    low = torch.full_like(scores, 0.4)
    ScaledIoUBCELoss(min_iou=0.5, max_iou=1.0, bias=0.0)(scores, low, torch.ones_like(low, dtype=torch.bool)).backward()
    torch.testing.assert_close(scores.grad, torch.sigmoid(scores.detach()) / scores.numel())


def test_scaled_iou_bce_has_no_gradient_where_the_score_is_the_logit_of_the_target(iou: Tensor, valid: Tensor) -> None:
    loss = ScaledIoUBCELoss(min_iou=0.0, max_iou=1.0, bias=0.0)
    scores = torch.logit(iou.clamp(0.01, 0.99)).requires_grad_(True)
    loss(scores, iou.clamp(0.01, 0.99), valid).backward()
    torch.testing.assert_close(scores.grad, torch.zeros_like(scores), atol=1e-7, rtol=0)


def test_scaled_iou_bce_leaves_the_overlap_it_was_given_unchanged(scores: Tensor, iou: Tensor, valid: Tensor) -> None:
    before = iou.clone()
    ScaledIoUBCELoss(min_iou=0.5, max_iou=1.0, bias=0.2)(scores, iou, valid)
    assert torch.equal(iou, before)


def test_the_band_of_scaled_iou_bce_must_not_be_empty() -> None:
    with pytest.raises(ValidationError, match=r"min_iou < max_iou, got min_iou=0.8, max_iou=0.7"):
        ScaledIoUBCEParams(name="scaled_iou_bce", min_iou=0.8, max_iou=0.7)
