"""Contract of every loss on candidate scores that reads IoU and validity."""

import pytest
import torch
from torch import Tensor

from models.contracts.batches import Candidates, LossContext
from models.losses.anchor_bce import AnchorBCEParams
from models.losses.base import NO_DIMS, TermParams, WeightedLosses
from models.losses.blackbox_map import BlackboxMAPParams
from models.losses.blackbox_recall import BlackboxRecallParams
from models.losses.focal import FocalParams
from models.losses.intra_inter_margin import IntraInterMarginParams
from models.losses.iou_bce import IoUBCEParams
from models.losses.scaled_iou_bce import ScaledIoUBCEParams

TERMS: list[TermParams] = [
    AnchorBCEParams(name="anchor_bce"),
    AnchorBCEParams(name="anchor_bce", anchor="pos", slack=0.0),
    AnchorBCEParams(name="anchor_bce", warmup_epochs=5),
    BlackboxMAPParams(name="blackbox_map", on="candidates"),
    BlackboxRecallParams(name="blackbox_recall", on="candidates", weighting="log"),
    FocalParams(name="focal"),
    FocalParams(name="focal", alpha=0.25, gamma=0.0),
    IntraInterMarginParams(name="intra_inter_margin", negatives="all"),
    IoUBCEParams(name="iou_bce"),
    ScaledIoUBCEParams(name="scaled_iou_bce"),
]
EVERY = pytest.mark.parametrize("params", TERMS, ids=lambda params: params.name)


def compute(params: TermParams, scores: Tensor, iou: Tensor, valid: Tensor) -> Tensor:
    """Return the loss of candidates whose scores in another video are half as large."""
    spans = torch.zeros(*scores.shape, 2)
    context = LossContext(
        candidates=Candidates(spans, scores, valid),
        other_candidates=Candidates(spans, scores / 2, valid),
        other_differs=torch.ones(len(scores), dtype=torch.bool),
        iou=iou,
        epoch=1.0,
    )
    return WeightedLosses([params], NO_DIMS)(context).total


@EVERY
def test_scores_of_invalid_candidates_change_nothing(params: TermParams, scores: Tensor, iou: Tensor, valid: Tensor) -> None:
    noisy = torch.where(valid, scores, 1e3)
    assert torch.equal(compute(params, scores, iou, valid), compute(params, noisy, iou, valid))


@EVERY
def test_the_order_of_candidates_and_rows_changes_nothing(params: TermParams, scores: Tensor, iou: Tensor, valid: Tensor) -> None:
    order = torch.randperm(10, generator=torch.Generator().manual_seed(1))
    turned = [part[[2, 0, 1]][:, order] for part in (scores, iou, valid)]
    assert compute(params, *turned).item() == pytest.approx(compute(params, scores, iou, valid).item(), rel=1e-5)


@EVERY
def test_rows_without_valid_candidates_cost_nothing(params: TermParams, scores: Tensor, iou: Tensor, valid: Tensor) -> None:
    scores.requires_grad_(True)
    value = compute(params, scores, iou, torch.zeros_like(valid))
    value.backward()
    assert value.item() == 0
    assert scores.grad is not None
    assert not scores.grad.any()


@EVERY
@pytest.mark.parametrize("size", [0.0, 1e4])
def test_gradients_are_finite_for_equal_and_for_extreme_scores(
    params: TermParams, scores: Tensor, iou: Tensor, valid: Tensor, size: float
) -> None:
    extreme = (size * scores).requires_grad_(True)
    compute(params, extreme, iou, valid).backward()
    assert extreme.grad is not None
    assert extreme.grad.isfinite().all()


@EVERY
def test_one_row_with_one_candidate_has_a_finite_loss(params: TermParams) -> None:
    value = compute(params, torch.tensor([[0.3]]), torch.tensor([[0.8]]), torch.tensor([[True]]))
    assert value.isfinite()
