"""The two regularisers of CyCLIP."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from models.losses.cyclip import CyCLIPLoss

IN_MODAL = CyCLIPLoss(in_modal_weight=1.0, cross_modal_weight=0.0)
CROSS_MODAL = CyCLIPLoss(in_modal_weight=0.0, cross_modal_weight=1.0)
GENERATOR = torch.Generator().manual_seed(5)
MOMENTS, QUERIES = torch.randn(4, 6, generator=GENERATOR), torch.randn(4, 6, generator=GENERATOR)


def draw_rotation() -> Tensor:
    rotation: Tensor = torch.linalg.qr(torch.randn(6, 6, generator=torch.Generator().manual_seed(6)))[0]
    return rotation


def test_both_parts_agree_with_a_slow_loop() -> None:
    v, t = F.normalize(MOMENTS, dim=-1), F.normalize(QUERIES, dim=-1)
    pairs = [(i, j) for i in range(4) for j in range(4)]
    in_modal = sum(((v[i] @ v[j]) - (t[i] @ t[j])).item() ** 2 for i, j in pairs) / 4
    cross_modal = sum(((v[i] @ t[j]) - (v[j] @ t[i])).item() ** 2 for i, j in pairs) / 4
    assert IN_MODAL(MOMENTS, QUERIES).item() == pytest.approx(in_modal, rel=1e-5)
    assert CROSS_MODAL(MOMENTS, QUERIES).item() == pytest.approx(cross_modal, rel=1e-5)
    both = CyCLIPLoss(in_modal_weight=0.25, cross_modal_weight=0.5)(MOMENTS, QUERIES)
    assert both.item() == pytest.approx(0.25 * in_modal + 0.5 * cross_modal, rel=1e-5)


def test_two_opposite_pairs_by_hand() -> None:
    """Moments (1, 0) and (0, 1), queries (1, 0) and (1, 0): in 2 of 4 pairs, queries have similarity 1 and moments 0."""
    moments, queries = torch.eye(2), torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    assert IN_MODAL(moments, queries).item() == pytest.approx(2 * 2 / 4)
    assert CROSS_MODAL(moments, queries).item() == pytest.approx(2 * 2 / 4)


def test_equal_moments_and_queries_cost_nothing() -> None:
    assert IN_MODAL(MOMENTS, 3 * MOMENTS).item() == pytest.approx(0, abs=1e-10)
    assert CROSS_MODAL(MOMENTS, 3 * MOMENTS).item() == pytest.approx(0, abs=1e-10)


def test_turning_both_or_one_of_the_spaces_leaves_the_in_modal_part() -> None:
    rotation = draw_rotation()
    expected = IN_MODAL(MOMENTS, QUERIES).item()
    assert IN_MODAL(MOMENTS @ rotation, QUERIES @ rotation).item() == pytest.approx(expected, rel=1e-5)
    assert IN_MODAL(MOMENTS @ rotation, QUERIES).item() == pytest.approx(expected, rel=1e-5)


def test_the_length_of_vectors_changes_nothing() -> None:
    for loss in (IN_MODAL, CROSS_MODAL):
        assert loss(9 * MOMENTS, QUERIES / 7).item() == pytest.approx(loss(MOMENTS, QUERIES).item(), rel=1e-5)
