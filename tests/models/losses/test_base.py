"""Weighted sums of loss terms."""

import pytest
import torch
from torch import Tensor

from models.contracts.batches import Candidates, LossContext
from models.losses.base import WeightedLosses
from models.losses.info_nce import InfoNCEParams
from models.losses.iou_bce import IoUBCEParams
from models.losses.scaled_iou_bce import ScaledIoUBCEParams


def make_context(scores: Tensor, iou: Tensor, valid: Tensor) -> LossContext:
    return LossContext(candidates=Candidates(torch.zeros(*scores.shape, 2), scores, valid), iou=iou)


def test_a_term_of_weight_0_is_bit_equal_to_its_absence(scores: Tensor, iou: Tensor, valid: Tensor) -> None:
    kept = ScaledIoUBCEParams(name="scaled_iou_bce", weight=0.7)
    left_out = IoUBCEParams(name="iou_bce", weight=0.0)
    values, gradients = [], []
    for terms in ([kept], [kept, left_out]):
        leaf = scores.clone().requires_grad_(True)
        value = WeightedLosses(terms)(make_context(leaf, iou, valid))
        value.total.backward()
        values.append(value)
        gradients.append(leaf.grad)
    assert torch.equal(values[0].total, values[1].total)
    assert values[0].parts.keys() == values[1].parts.keys()
    assert torch.equal(gradients[0], gradients[1])


def test_the_total_is_the_weighted_sum_of_the_parts(scores: Tensor, iou: Tensor, valid: Tensor) -> None:
    losses = WeightedLosses([ScaledIoUBCEParams(name="scaled_iou_bce", weight=2.0), IoUBCEParams(name="iou_bce", weight=0.5)])
    value = losses(make_context(scores, iou, valid))
    assert value.total.item() == pytest.approx(2 * value.parts["scaled_iou_bce"].item() + value.parts["iou_bce"].item() / 2)


def test_a_loss_whose_inputs_a_role_does_not_compute_is_named(scores: Tensor, iou: Tensor, valid: Tensor) -> None:
    with pytest.raises(ValueError, match="loss 'info_nce' needs moments, queries, false_negatives, which this role does not"):
        WeightedLosses([InfoNCEParams(name="info_nce")])(make_context(scores, iou, valid))


def test_a_model_without_any_loss_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one loss with weight > 0"):
        WeightedLosses([IoUBCEParams(name="iou_bce", weight=0.0)])
