"""The triplet loss, its miners and the tracked figures."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from models.contracts.batches import Labels, LossDims, Targets
from models.layers.spans import find_near_moments
from models.losses.labelled import LabelledRows
from models.losses.mining import MiningTracker, Triplets, build_miner
from models.losses.triplet import TripletLoss, TripletParams

MINERS = ("random", "semi_hard", "hardest", "distance_weighted")
ANGLES = torch.tensor([0.0, 0.5, 0.6, 1.2, 0.3])  # of vectors on the unit circle; distances have the same order as angles
CIRCLE = torch.stack([ANGLES.cos(), ANGLES.sin()], dim=1)
CLASSES = torch.tensor([0, 0, 1, 1, 2])


def chord(first: int, second: int) -> float:
    """Return the distance of two vectors of `CIRCLE`."""
    return 2 * math.sin(abs(ANGLES[first] - ANGLES[second]).item() / 2)


def list_all() -> list[tuple[int, int, int]]:
    places, own = range(5), CLASSES.tolist()
    pairs = [(a, p) for a in places for p in places if a != p and own[a] == own[p]]
    return [(a, p, n) for a, p in pairs for n in places if own[n] != own[a]]


def as_set(triplets: tuple[Tensor, Tensor, Tensor]) -> set[tuple[int, int, int]]:
    return set(zip(*(part.tolist() for part in triplets), strict=True))


def test_semi_hard_mining_takes_negatives_behind_the_positive_but_within_the_margin() -> None:
    expected = {(a, p, n) for a, p, n in list_all() if chord(a, p) < chord(a, n) <= chord(a, p) + 0.15}
    assert expected == {(0, 1, 2), (3, 2, 1)}
    assert as_set(build_miner("semi_hard", 0.15)(CIRCLE, CLASSES)) == expected


def test_hardest_mining_takes_the_nearest_of_another_class() -> None:
    assert as_set(build_miner("hardest", 0.2)(CIRCLE, CLASSES)) == {(0, 1, 4), (1, 0, 2), (2, 3, 1), (3, 2, 1)}


@pytest.mark.parametrize("name", ["random", "distance_weighted"])
def test_drawn_triplets_are_of_right_classes_and_follow_the_seed(name: Any) -> None:
    vectors = torch.randn(20, 6, generator=torch.Generator().manual_seed(1))
    classes = torch.arange(20) % 4
    found = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        found.append(build_miner(name, 0.2)(vectors, classes))
    anchors, positives, negatives = found[0]
    assert len(anchors) >= 15
    assert (classes[anchors] == classes[positives]).all()
    assert (anchors != positives).all()
    assert (classes[anchors] != classes[negatives]).all()
    assert as_set(found[0]) == as_set(found[1]) != as_set(found[2])


def test_random_mining_takes_one_triplet_for_each_vector_with_a_partner() -> None:
    anchors, _, _ = build_miner("random", 0.2)(CIRCLE, CLASSES)
    assert sorted(anchors.tolist()) == [0, 1, 2, 3]


def test_distance_weighted_mining_takes_no_negative_farther_than_its_limit() -> None:
    vectors = F.normalize(torch.randn(60, 8, generator=torch.Generator().manual_seed(2)), dim=1)
    torch.manual_seed(0)
    anchors, _, negatives = build_miner("distance_weighted", 0.2)(vectors, torch.arange(60) % 6)
    assert (vectors[anchors] - vectors[negatives]).norm(dim=1).max() < 1.4


def make_targets(videos: list[int], spans: list[list[float]]) -> Targets:
    count = len(videos)
    return Targets(
        torch.tensor(spans)[:, None], torch.ones(count, 1, dtype=torch.bool), torch.tensor(videos), torch.arange(count)
    )


APART = make_targets([0, 1, 2, 3, 4], [[0.0, 1.0]] * 5)


def compute(loss: TripletLoss, vectors: Tensor, classes: Tensor, targets: Targets = APART) -> Tensor:
    value: Tensor = loss(vectors, Labels(torch.arange(len(classes)), classes, classes, classes), targets)
    return value


def build(**values: Any) -> TripletLoss:
    return TripletParams(name="triplet", on="moments", **values).build(LossDims(None, {}))


def test_the_triplet_loss_is_the_mean_hinge_of_mined_triplets() -> None:
    expected = sum(chord(a, p) - chord(a, n) + 0.15 for a, p, n in [(0, 1, 2), (3, 2, 1)]) / 2
    assert compute(build(margin=0.15), 4 * CIRCLE, CLASSES).item() == pytest.approx(expected, rel=1e-4)


def test_all_violations_together_weigh_at_least_as_much_as_the_semi_hard_ones() -> None:
    hinges = [max(0.0, chord(a, p) - chord(a, n) + 0.15) for a, p, n in list_all()]
    assert sum(hinges) >= 2 * compute(build(margin=0.15), CIRCLE, CLASSES).item()


@pytest.mark.parametrize("miner", MINERS)
def test_no_negative_shows_nearly_the_moment_of_its_anchor(miner: str, vectors: Tensor) -> None:
    classes = torch.tensor([0, 0, 1, 1, 2, 2, 3, 3])
    targets = make_targets([0] * 8, [[0.0, 10.0]] * 8)
    vectors.requires_grad_(True)
    loss = build(miner=miner, margin=5.0)
    value = compute(loss, vectors, classes, targets)
    value.backward()
    assert value.item() == 0
    assert loss.collect_report()["mined"] == 0
    assert compute(loss, vectors, classes, targets._replace(video_index=torch.arange(8))).item() > 0


def test_moments_are_near_from_the_given_iou_on_and_only_in_one_video() -> None:
    targets = make_targets([0, 0, 0, 1], [[0.0, 10.0], [5.0, 15.0], [2.0, 10.0], [0.0, 10.0]])
    near = find_near_moments(targets, 0.35)
    assert near[0].tolist() == [True, False, True, False]  # IoU 1, 1/3, 0.8, and another video
    assert torch.equal(near, near.T)


@pytest.mark.parametrize("miner", MINERS)
@pytest.mark.parametrize("classes", [[0], [0, 0, 0], [0, 1, 2]])
def test_a_batch_without_triplets_has_loss_0_and_is_counted_as_empty(miner: str, classes: list[int], vectors: Tensor) -> None:
    count = len(classes)
    loss = build(miner=miner)
    vectors.requires_grad_(True)
    value = compute(loss, vectors[:count], torch.tensor(classes), make_targets(list(range(count)), [[0.0, 1.0]] * count))
    value.backward()
    assert value.item() == 0
    report = loss.collect_report()
    assert (report["mined"], report["empty"], report["collapsed"]) == (0, 1, 0)
    assert all(math.isfinite(figure) for figure in report.values())


@pytest.mark.parametrize("miner", MINERS)
def test_equal_vectors_and_real_ones_have_finite_gradients(miner: str, vectors: Tensor) -> None:
    classes = torch.tensor([0, 0, 1, 1, 2, 2, 3, 3])
    targets = make_targets(list(range(8)), [[0.0, 1.0]] * 8)
    for values in (vectors, torch.ones(8, 6), torch.zeros(8, 6)):
        leaf = values.clone().requires_grad_(True)
        compute(build(miner=miner), leaf, classes, targets).backward()
        assert leaf.grad is not None
        assert leaf.grad.isfinite().all()


def test_a_report_counts_available_triplets_and_describes_mined_ones() -> None:
    tracker = MiningTracker(margin=0.15)
    rows = LabelledRows(CIRCLE, CLASSES, torch.tensor([7, 1, 7, 3, 4]), torch.arange(5))
    mined = Triplets(torch.tensor([0, 3]), torch.tensor([1, 2]), torch.tensor([2, 1]))
    nothing = Triplets(*(torch.zeros(0, dtype=torch.int64) for _ in range(3)))
    tracker.record(rows, mined)
    tracker.record(rows, nothing)
    gaps = [chord(a, n) - chord(a, p) for a, p, n in list_all()]
    assert tracker.report() == pytest.approx(
        {
            "easy": 2 * sum(gap > 0.15 for gap in gaps),
            "semi_hard": 2 * sum(0 < gap <= 0.15 for gap in gaps),
            "hard": 2 * sum(gap <= 0 for gap in gaps),
            "mined": 2,
            "positive_distance": (chord(0, 1) + chord(3, 2)) / 2,
            "negative_distance": (chord(0, 2) + chord(3, 1)) / 2,
            "suspected_false": 0.5,  # anchor 0 and negative 2 are of one sentence
            "empty": 0.5,
            "collapsed": 0,
        },
        rel=1e-5,
    )


def test_a_report_resets_the_figures() -> None:
    loss = build()
    compute(loss, CIRCLE, CLASSES)
    assert loss.collect_report()["mined"] > 0
    assert set(loss.collect_report().values()) == {0}


def test_a_batch_without_vectors_is_counted_as_empty_under_the_same_names() -> None:
    loss = TripletParams(name="triplet", on="candidates", min_iou=0.9).build(LossDims(None, {}))
    features, label = torch.randn(2, 3, 4, requires_grad=True), torch.arange(2)
    labels, targets = Labels(label, label, label, label), make_targets([0, 1], [[0.0, 1.0]] * 2)
    value = loss(features, torch.ones(2, 3, dtype=torch.bool), torch.zeros(2, 3), labels, targets)
    value.backward()
    assert value.item() == 0
    report = loss.collect_report()
    assert report["empty"] == 1
    assert report.keys() == build().collect_report().keys()


def test_embeddings_that_collapse_into_one_point_raise_the_alarm() -> None:
    loss = build()
    compute(loss, torch.ones(5, 6) + 1e-5 * torch.randn(5, 6), CLASSES)
    with pytest.warns(UserWarning, match="the embeddings have collapsed into one point"):
        assert loss.collect_report()["collapsed"] == 1


def test_embeddings_at_one_distance_from_each_other_raise_the_alarm() -> None:
    loss = build()
    compute(loss, torch.eye(5), CLASSES)
    with pytest.warns(UserWarning, match="all distances are within 0.001"):
        assert loss.collect_report()["collapsed"] == 1
