"""Choice of the vectors that losses on labelled embeddings read."""

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from models.contracts.batches import Candidates, Labels, LossContext, LossDims
from models.losses.base import WeightedLosses
from models.losses.labelled import Reading
from models.losses.magnet import MagnetParams
from models.losses.proxy_nca_pp import ProxyNCAPPParams

LABELS = Labels(
    pair=torch.tensor([0, 1, 0]),
    verb=torch.tensor([0, 0, 0]),
    query_cluster=torch.tensor([0, 1, 1]),
    video=torch.tensor([2, 1, 0]),
)
MOMENTS, QUERIES = torch.randn(3, 6), torch.randn(3, 6)
FEATURES = torch.randn(3, 4, 6)
VALID = torch.tensor([[True, True, True, False], [True, True, True, True], [True, False, False, False]])
IOU = torch.tensor([[0.9, 0.6, 0.1, 1.0], [0.4, 0.8, 0.7, 0.6], [0.2, 0.9, 0.9, 0.9]])


@pytest.mark.parametrize(("on", "vectors"), [("moments", MOMENTS), ("queries", QUERIES)])
def test_one_vector_a_row_keeps_the_label_of_its_row(on: str, vectors: Tensor) -> None:
    rows = Reading(on, "query_cluster").read(vectors, LABELS)  # type: ignore[arg-type]
    assert torch.equal(rows.vectors, vectors)
    assert rows.classes.tolist() == [0, 1, 1]
    assert rows.sentences.tolist() == [0, 1, 0]


def test_pairs_are_moments_and_queries_under_one_label_each() -> None:
    rows = Reading("pairs", "video").read(MOMENTS, QUERIES, LABELS)
    assert torch.equal(rows.vectors, torch.cat([MOMENTS, QUERIES]))
    assert rows.classes.tolist() == [2, 1, 0, 2, 1, 0]
    assert rows.batch_rows.tolist() == [0, 1, 2, 0, 1, 2]


def test_candidates_are_every_valid_one() -> None:
    rows = Reading("candidates", "pair").read(FEATURES, VALID, IOU, LABELS)
    assert torch.equal(rows.vectors, FEATURES[VALID])
    assert rows.classes.tolist() == [0, 0, 0, 1, 1, 1, 1, 0]


def test_candidates_of_too_low_an_iou_are_left_out() -> None:
    rows = Reading("candidates", "pair", min_iou=0.6).read(FEATURES, VALID, IOU, LABELS)
    assert torch.equal(rows.vectors, torch.stack([FEATURES[0, 0], FEATURES[0, 1], *FEATURES[1, 1:]]))


def test_only_the_best_candidates_of_a_row_are_read_where_they_are_limited() -> None:
    rows = Reading("candidates", "pair", min_iou=None, per_row=2).read(FEATURES, VALID, IOU, LABELS)
    assert torch.equal(rows.vectors, torch.stack([*FEATURES[0, :2], *FEATURES[1, 1:3], FEATURES[2, 0]]))


def make_context(features: Tensor, *, valid: Tensor = VALID) -> LossContext:
    candidates = Candidates(torch.zeros(3, 4, 2), torch.zeros(3, 4), valid, features=features)
    return LossContext(candidates=candidates, iou=IOU, labels=LABELS)


@pytest.mark.parametrize("params", [MagnetParams, ProxyNCAPPParams])
def test_a_batch_without_any_vector_to_read_has_loss_0_and_no_gradient(
    params: type[MagnetParams] | type[ProxyNCAPPParams], dims: LossDims
) -> None:
    features = FEATURES.clone().requires_grad_(True)
    name = params.model_fields["name"].annotation.__args__[0]  # type: ignore[union-attr]
    losses = WeightedLosses([params(name=name, on="candidates", min_iou=0.5)], dims)
    total = losses(make_context(features, valid=torch.zeros_like(VALID))).total
    total.backward()
    assert total.item() == 0
    assert features.grad is not None
    assert not features.grad.any()


def test_vectors_of_invalid_candidates_change_nothing(dims: LossDims) -> None:
    torch.manual_seed(0)
    losses = WeightedLosses([ProxyNCAPPParams(name="proxy_nca_pp", on="candidates")], dims)
    noisy = torch.where(VALID[..., None], FEATURES, 1e3)
    assert torch.equal(losses(make_context(FEATURES)).total, losses(make_context(noisy)).total)


def test_the_order_of_candidates_changes_nothing(dims: LossDims) -> None:
    torch.manual_seed(0)
    losses = WeightedLosses([ProxyNCAPPParams(name="proxy_nca_pp", on="candidates")], dims)
    order = torch.tensor([2, 0, 3, 1])
    context = make_context(FEATURES[:, order], valid=VALID[:, order])
    assert losses(context).total.item() == pytest.approx(losses(make_context(FEATURES)).total.item(), rel=1e-6)


def test_one_candidate_a_row_gives_the_loss_of_its_vectors_alone(dims: LossDims) -> None:
    features, valid = FEATURES[:, :1], torch.ones(3, 1, dtype=torch.bool)
    values = []
    for on in ("candidates", "moments"):
        torch.manual_seed(0)
        losses = WeightedLosses([ProxyNCAPPParams(name="proxy_nca_pp", on=on)], dims)  # type: ignore[arg-type]
        candidates = Candidates(torch.zeros(3, 1, 2), torch.zeros(3, 1), valid, features=features)
        context = LossContext(candidates=candidates, iou=IOU[:, :1], labels=LABELS, moments=features[:, 0])
        values.append(losses(context).total)
    assert torch.equal(values[0], values[1])


def test_a_least_iou_needs_candidates() -> None:
    with pytest.raises(ValidationError, match="min_iou chooses candidates: it needs on: candidates, got on=pairs, min_iou=0.5"):
        MagnetParams(name="magnet", min_iou=0.5)


def test_an_unknown_reading_lists_the_known_ones() -> None:
    with pytest.raises(ValidationError, match="'moments', 'queries', 'pairs' or 'candidates'"):
        MagnetParams.model_validate({"name": "magnet", "on": "words"})
    with pytest.raises(ValidationError, match="'pair', 'verb', 'query_cluster' or 'video'"):
        MagnetParams.model_validate({"name": "magnet", "labels": "noun"})


def test_a_model_without_embeddings_is_named() -> None:
    with pytest.raises(ValueError, match="the loss 'proxy_nca_pp' needs embeddings, which this model does not give"):
        ProxyNCAPPParams(name="proxy_nca_pp").build(LossDims(None, {"verb": 3}))
