"""Contract of every loss on matched moments and queries without classes."""

from typing import Any

import pytest
import torch
from torch import Tensor

from models.contracts.batches import LossContext, Targets
from models.layers.spans import find_false_negatives
from models.losses.base import NO_DIMS, TermParams, WeightedLosses
from models.losses.blackbox_map import BlackboxMAPParams
from models.losses.blackbox_recall import BlackboxRecallParams
from models.losses.cyclip import CyCLIPParams
from models.losses.info_nce import InfoNCEParams
from models.losses.mil_nce import MILNCEParams
from models.losses.mil_nce_angular import MILNCEAngularParams
from models.losses.pair_intra_inter_margin import PairIntraInterMarginParams

TERMS: list[TermParams] = [
    BlackboxMAPParams(name="blackbox_map"),
    BlackboxRecallParams(name="blackbox_recall"),
    CyCLIPParams(name="cyclip"),
    InfoNCEParams(name="info_nce"),
    MILNCEParams(name="mil_nce"),
    MILNCEParams(name="mil_nce", denominator="released"),
    MILNCEAngularParams(name="mil_nce_angular"),
    PairIntraInterMarginParams(name="pair_intra_inter_margin", negatives="all"),
]
EVERY = pytest.mark.parametrize("params", TERMS, ids=lambda params: params.name)


def make_targets(num_rows: int) -> Targets:
    """Return targets in which the first two rows share a sentence, and every two rows share a video."""
    starts = 4.0 * torch.arange(num_rows)
    return Targets(
        spans=torch.stack([starts, starts + 3], dim=1)[:, None],
        mask=torch.ones(num_rows, 1, dtype=torch.bool),
        video_index=torch.arange(num_rows) // 2,
        text_index=torch.arange(num_rows).clamp_min(1),
    )


def compute(params: TermParams, moments: Tensor, queries: Tensor, **changed: Any) -> Tensor:
    targets = make_targets(len(moments))
    values = {"targets": targets, "false_negatives": find_false_negatives(targets), "epoch": 2.0, **changed}
    return WeightedLosses([params], NO_DIMS)(LossContext(moments=moments, queries=queries, **values)).total


def draw_embeddings(num_rows: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(5)
    return torch.randn(num_rows, 8, generator=generator), torch.randn(num_rows, 8, generator=generator)


@EVERY
def test_the_order_of_pairs_changes_nothing(params: TermParams) -> None:
    moments, queries = draw_embeddings(6)
    order = torch.tensor([3, 5, 0, 2, 1, 4])
    targets = Targets(*(part[order] for part in make_targets(6)))
    turned = compute(params, moments[order], queries[order], targets=targets, false_negatives=find_false_negatives(targets))
    assert turned.item() == pytest.approx(compute(params, moments, queries).item(), rel=1e-5)


@EVERY
def test_one_pair_alone_and_pairs_that_all_match_have_finite_gradients(params: TermParams) -> None:
    for num_rows in (1, 4):
        moments, queries = (part.requires_grad_(True) for part in draw_embeddings(num_rows))
        value = compute(params, moments, queries, false_negatives=torch.ones(num_rows, num_rows, dtype=torch.bool))
        value.backward()
        assert value.isfinite()
        for part in (moments, queries):
            assert part.grad is None or part.grad.isfinite().all()


@EVERY
def test_the_diagonal_of_the_pairs_that_match_too_changes_nothing(params: TermParams) -> None:
    moments, queries = draw_embeddings(6)
    matches = find_false_negatives(make_targets(6))
    without = matches & ~torch.eye(6, dtype=torch.bool)
    assert torch.equal(
        compute(params, moments, queries, false_negatives=matches), compute(params, moments, queries, false_negatives=without)
    )


@EVERY
def test_gradients_are_finite_for_embeddings_of_zeros_and_of_great_length(params: TermParams) -> None:
    for size in (0.0, 1e3):
        moments, queries = ((size * part).requires_grad_(True) for part in draw_embeddings(6))
        compute(params, moments, queries).backward()
        assert moments.grad is not None
        assert moments.grad.isfinite().all()
