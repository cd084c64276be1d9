"""The magnet loss."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from models.contracts.batches import LossDims
from models.losses.magnet import MagnetLoss, MagnetParams, average, split

CLASSES = [0, 0, 0, 0, 1, 1, 2, 2]


def build(**values: Any) -> MagnetLoss:
    return MagnetParams(name="magnet", **values).build(LossDims(None, {}))


def slow_magnet(vectors: list[list[float]], classes: list[int], gap: float, impostors: int) -> float:
    """Compute the loss with one cluster per class."""

    def distance(left: list[float], right: list[float]) -> float:
        return sum((x - y) ** 2 for x, y in zip(left, right, strict=True))

    members = {label: [vector for vector, own in zip(vectors, classes, strict=True) if own == label] for label in classes}
    means = {label: [sum(column) / len(group) for column in zip(*group, strict=True)] for label, group in members.items()}
    own = [distance(vector, means[label]) for vector, label in zip(vectors, classes, strict=True)]
    variance = sum(own) / (len(vectors) - 1)
    total = 0.0
    for vector, label, squared in zip(vectors, classes, own, strict=True):
        others = sorted(distance(vector, mean) for other, mean in means.items() if other != label)[:impostors]
        total += max(0.0, gap + squared / (2 * variance) + math.log(sum(math.exp(-d / (2 * variance)) for d in others)))
    return total / len(vectors)


@pytest.mark.parametrize("impostors", [1, 2, 11])
def test_the_magnet_loss_agrees_with_a_slow_loop(impostors: int, vectors: Tensor, make_rows: Any) -> None:
    loss = build(clusters_per_class=1, num_impostors=impostors, gap=2.0)
    expected = slow_magnet(vectors.tolist(), CLASSES, 2.0, impostors)
    assert loss.compute(make_rows(vectors, CLASSES)).item() == pytest.approx(expected, rel=1e-4)


def test_the_magnet_loss_of_two_pairs_by_hand(make_rows: Any) -> None:
    vectors = torch.tensor([[0.0], [2.0], [4.0], [6.0]])  # means 1 and 5, variance 4/3, squared distances 1; 25, 9, 9, 25
    near, far = 1 + 3 / 8 - 9 * 3 / 8, 1 + 3 / 8 - 25 * 3 / 8
    expected = sum(max(0.0, value) for value in (near, near, far, far)) / 4
    assert build().compute(make_rows(vectors, [0, 0, 1, 1])).item() == pytest.approx(expected, abs=1e-6)


def test_clusters_far_from_those_of_other_classes_have_loss_0(vectors: Tensor, make_rows: Any) -> None:
    far = vectors + 100 * torch.tensor(CLASSES)[:, None]
    assert build().compute(make_rows(far, CLASSES)).item() == 0


def test_neither_a_rotation_nor_a_scale_nor_a_shift_changes_the_loss(vectors: Tensor, make_rows: Any) -> None:
    loss = build(clusters_per_class=2, rows_per_cluster=1)
    rotation = torch.linalg.qr(torch.randn(6, 6, generator=torch.Generator().manual_seed(3)))[0]
    value = loss.compute(make_rows(vectors, CLASSES)).item()
    assert value > 0
    for other in (vectors @ rotation, 50 * vectors, 0.02 * vectors, vectors + 1.0):
        assert loss.compute(make_rows(other, CLASSES)).item() == pytest.approx(value, rel=1e-3)


def test_the_order_of_rows_changes_nothing(vectors: Tensor, make_rows: Any) -> None:
    loss, order = build(clusters_per_class=2, rows_per_cluster=2), torch.randperm(8)
    other = loss.compute(make_rows(vectors[order], [CLASSES[index] for index in order]))
    assert other.item() == pytest.approx(loss.compute(make_rows(vectors, CLASSES)).item(), rel=1e-4)


def test_a_vector_given_twice_leaves_the_mean_of_its_cluster_where_it_is() -> None:
    vectors = torch.tensor([[1.0, 0.0], [3.0, 2.0]])
    once = average(vectors, torch.tensor([0, 0]), 1)
    assert torch.equal(average(vectors.repeat(2, 1), torch.zeros(4, dtype=torch.int64), 1), once)


def test_a_class_of_two_groups_is_split_into_them() -> None:
    vectors = torch.tensor([[0.0, 0.0], [9.0, 9.0], [0.1, 0.0], [9.0, 9.1], [0.0, 0.1]])
    found = split(vectors, 2)
    assert found[0] == found[2] == found[4]
    assert found[1] == found[3]
    assert found[0] != found[1]


def test_clusters_stay_within_classes_and_are_numbered_without_gaps(vectors: Tensor) -> None:
    classes = torch.tensor([5, 5, 5, 5, 2, 2, 9, 9])
    clusters, owners = build(clusters_per_class=2, rows_per_cluster=2).find_clusters(vectors, classes)
    assert torch.equal(owners[clusters], classes)
    assert sorted(set(clusters.tolist())) == list(range(len(owners)))
    assert sorted(owners.tolist()) == [2, 5, 5, 9]


@pytest.mark.parametrize("classes", [[0], [0, 0, 0], [0, 1, 2]])
def test_one_class_or_single_vectors_have_loss_0_and_no_gradient(classes: list[int], vectors: Tensor, make_rows: Any) -> None:
    vectors.requires_grad_(True)
    value = build().compute(make_rows(vectors[: len(classes)], classes))
    value.backward()
    assert value.item() == 0
    assert vectors.grad is not None
    assert not vectors.grad.any()


def test_equal_vectors_and_real_ones_have_finite_gradients(vectors: Tensor, make_rows: Any) -> None:
    for values in (vectors, torch.ones(8, 6), vectors * 1e-12):
        leaf = values.clone().requires_grad_(True)
        build().compute(make_rows(leaf, CLASSES)).backward()
        assert leaf.grad is not None
        assert leaf.grad.isfinite().all()
