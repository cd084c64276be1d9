"""Losses of localizers and retrievers: hand-computed cases, slow references, invariances, edges."""

import math

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor
from torch.nn import functional as F

from models.exchange.batches import Candidates, LossContext
from models.losses.base import WeightedLosses
from models.losses.info_nce import InfoNCELoss, InfoNCEParams
from models.losses.iou_bce import IoUBCELoss, IoUBCEParams
from models.losses.scaled_iou_bce import ScaledIoUBCELoss, ScaledIoUBCEParams


@pytest.fixture
def scores() -> Tensor:
    return torch.randn(3, 10, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def iou() -> Tensor:
    return torch.rand(3, 10, generator=torch.Generator().manual_seed(2))


@pytest.fixture
def valid() -> Tensor:
    return torch.rand(3, 10, generator=torch.Generator().manual_seed(3)) > 0.3


NOTHING = torch.zeros(4, 4, dtype=torch.bool)


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


@pytest.mark.parametrize("loss", [ScaledIoUBCELoss(min_iou=0.5, max_iou=1.0, bias=0.0), IoUBCELoss(0.5)])
def test_scores_of_invalid_candidates_change_nothing(
    loss: ScaledIoUBCELoss | IoUBCELoss, scores: Tensor, iou: Tensor, valid: Tensor
) -> None:
    assert torch.equal(loss(scores, iou, valid), loss(torch.where(valid, scores, 1e3), iou, valid))


@pytest.mark.parametrize("loss", [ScaledIoUBCELoss(min_iou=0.5, max_iou=1.0, bias=0.0), IoUBCELoss(0.5)])
def test_a_batch_without_valid_candidates_has_loss_0_and_finite_gradients(
    loss: ScaledIoUBCELoss | IoUBCELoss, scores: Tensor, iou: Tensor
) -> None:
    scores.requires_grad_(True)
    value = loss(scores, iou, torch.zeros_like(iou, dtype=torch.bool))
    value.backward()
    assert value.item() == 0
    assert scores.grad is not None
    assert scores.grad.isfinite().all()


def test_the_band_of_scaled_iou_bce_must_not_be_empty() -> None:
    with pytest.raises(ValidationError, match=r"min_iou < max_iou, got min_iou=0.8, max_iou=0.7"):
        ScaledIoUBCEParams(name="scaled_iou_bce", min_iou=0.8, max_iou=0.7)


def test_iou_bce_asks_for_overlap_of_at_least_the_threshold() -> None:
    iou = torch.tensor([[0.49, 0.5, 0.9]])
    scores = torch.tensor([[0.0, math.log(3), math.log(3)]])  # probabilities 1/2, 3/4, 3/4
    loss = IoUBCELoss(0.5)(scores, iou, torch.ones_like(iou, dtype=torch.bool))
    assert loss.item() == pytest.approx(-(math.log(0.5) + 2 * math.log(0.75)) / 3)


def test_info_nce_of_one_pair_is_0() -> None:
    pair = torch.randn(1, 8)
    assert InfoNCELoss(0.1)(pair, -pair, torch.zeros(1, 1, dtype=torch.bool)).item() == 0


def test_info_nce_of_orthonormal_pairs_has_its_closed_form() -> None:
    loss = InfoNCELoss(0.5)(torch.eye(4), 3 * torch.eye(4), NOTHING)
    assert loss.item() == pytest.approx(math.log(1 + 3 * math.exp(-1 / 0.5)))


def test_info_nce_is_log_batch_size_when_embeddings_carry_no_signal() -> None:
    assert InfoNCELoss(0.07)(torch.ones(4, 8), torch.ones(4, 8), NOTHING).item() == pytest.approx(math.log(4))


def test_info_nce_agrees_with_a_slow_loop() -> None:
    generator = torch.Generator().manual_seed(5)
    moments, queries = torch.randn(4, 8, generator=generator), torch.randn(4, 8, generator=generator)
    dropped = torch.rand(4, 4, generator=generator) > 0.5
    similarity = (F.normalize(moments) @ F.normalize(queries).T / 0.2).tolist()
    total = 0.0
    for row in range(4):
        for matrix, skip in ((similarity, dropped), (list(map(list, zip(*similarity, strict=True))), dropped.T)):
            used = [math.exp(matrix[row][other]) for other in range(4) if other == row or not skip[row, other]]
            total -= math.log(math.exp(matrix[row][row]) / sum(used)) / 8
    assert InfoNCELoss(0.2)(moments, queries, dropped).item() == pytest.approx(total, rel=1e-5)


def test_info_nce_does_not_depend_on_the_order_of_the_batch() -> None:
    moments, queries, order = torch.randn(4, 8), torch.randn(4, 8), torch.tensor([2, 0, 3, 1])
    loss = InfoNCELoss(0.07)
    assert loss(moments, queries, NOTHING).item() == pytest.approx(loss(moments[order], queries[order], NOTHING).item(), rel=1e-5)


def test_info_nce_with_every_negative_masked_is_0_with_finite_gradients() -> None:
    moments, queries = torch.randn(4, 8, requires_grad=True), torch.randn(4, 8)
    loss = InfoNCELoss(0.07)(moments, queries, ~NOTHING)
    loss.backward()
    assert loss.item() == 0
    assert moments.grad is not None
    assert moments.grad.isfinite().all()


def test_info_nce_names_both_shapes_when_they_differ() -> None:
    with pytest.raises(ValueError, match=r"expected one shape, got moments \(2, 3\), queries \(2, 4\)"):
        InfoNCELoss(0.07)(torch.ones(2, 3), torch.ones(2, 4), NOTHING)


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
