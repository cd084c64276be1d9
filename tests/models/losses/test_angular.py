"""The angular loss."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from models.losses.angular import AngularLoss
from models.losses.labelled import Reading

CLASSES = [0, 1, 2, 3, 0, 1, 1, 3]


def build(angle_degrees: float) -> AngularLoss:
    return AngularLoss(Reading("pairs", "pair"), angle_degrees=angle_degrees)


def list_triplets(classes: list[int]) -> list[tuple[int, int, list[int]]]:
    """Return every anchor and positive with the places of all negatives."""
    places = range(len(classes))
    return [
        (a, p, [n for n in places if classes[n] != classes[a]])
        for a in places
        for p in places
        if a != p and classes[a] == classes[p]
    ]


@pytest.mark.parametrize("angle_degrees", [10.0, 40.0, 55.0])
def test_the_angular_loss_agrees_with_a_slow_loop_for_any_lengths(angle_degrees: float, vectors: Tensor, make_rows: Any) -> None:
    units, t = F.normalize(vectors), math.tan(math.radians(angle_degrees)) ** 2
    losses = []
    for a, p, negatives in list_triplets(CLASSES):
        terms = [4 * t * ((units[a] + units[p]) @ units[n]) - 2 * (1 + t) * (units[a] @ units[p]) for n in negatives]
        losses.append(math.log(1 + sum(math.exp(term) for term in terms)))
    lengths = torch.linspace(0.5, 9.0, 8)[:, None]
    found = build(angle_degrees).compute(make_rows(units * lengths, CLASSES))
    assert found.item() == pytest.approx(sum(losses) / len(losses), rel=1e-5)


def test_the_hinge_is_the_exponent_plus_a_constant_on_unit_vectors() -> None:
    a, p, n = F.normalize(torch.randn(3, 6, generator=torch.Generator().manual_seed(1)))
    t = math.tan(math.radians(40)) ** 2
    hinge = (a - p).square().sum() - 4 * t * (n - (a + p) / 2).square().sum()
    exponent = 4 * t * ((a + p) @ n) - 2 * (1 + t) * (a @ p)
    assert hinge.item() == pytest.approx(exponent.item() + 2 - 6 * t, rel=1e-4)


def test_an_angle_near_0_leaves_only_the_similarity_of_anchor_and_positive(make_rows: Any) -> None:
    vectors = torch.tensor([[1.0, 0.0], [1.0, 1.0], [0.0, -1.0]])
    expected = math.log(1 + math.exp(-2 / math.sqrt(2)))
    assert build(1e-4).compute(make_rows(vectors, [0, 0, 1])).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("classes", [[0], [0, 0, 0], [0, 1, 2]])
def test_without_a_positive_or_a_negative_the_loss_is_0(classes: list[int], vectors: Tensor, make_rows: Any) -> None:
    vectors.requires_grad_(True)
    value = build(40.0).compute(make_rows(vectors[: len(classes)], classes))
    value.backward()
    assert value.item() == 0
    assert vectors.grad is not None
    assert not vectors.grad.any()


def test_the_order_of_rows_changes_nothing_and_gradients_are_finite(vectors: Tensor, make_rows: Any) -> None:
    order = torch.randperm(8)
    vectors.requires_grad_(True)
    value = build(40.0).compute(make_rows(vectors, CLASSES))
    other = build(40.0).compute(make_rows(vectors[order], [CLASSES[index] for index in order]))
    value.backward()
    assert other.item() == pytest.approx(value.item(), rel=1e-5)
    assert vectors.grad is not None
    assert vectors.grad.isfinite().all()
