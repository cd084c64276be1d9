"""Symmetric InfoNCE with its mask of false negatives."""

import math

import pytest
import torch
from torch.nn import functional as F

from models.losses.info_nce import InfoNCELoss

NOTHING = torch.zeros(4, 4, dtype=torch.bool)


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
