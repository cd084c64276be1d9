"""Margin ranking of matched moments and queries."""

import math
from typing import Any

import pytest
import torch

from models.contracts.batches import Targets
from models.layers.spans import find_false_negatives
from models.losses.base import NO_DIMS
from models.losses.pair_intra_inter_margin import PairIntraInterMarginLoss, PairIntraInterMarginParams, compute_row_iou

# Rows 0 to 2 are of video 0: [0, 10), [6, 14) with IoU 0.29 to it, [1, 10) with IoU 0.9; row 3 is of video 1.
SPANS = torch.tensor([[[0.0, 10.0]], [[6.0, 14.0]], [[1.0, 10.0]], [[0.0, 10.0]]])
TARGETS = Targets(SPANS, torch.ones(4, 1, dtype=torch.bool), torch.tensor([0, 0, 0, 1]), torch.arange(4))
MATCHES = find_false_negatives(TARGETS)


def build(**values: Any) -> PairIntraInterMarginLoss:
    return PairIntraInterMarginParams(name="pair_intra_inter_margin", **{"negatives": "all", **values}).build(NO_DIMS)


def test_equal_distances_cost_the_margin_by_both_weights() -> None:
    for negatives in ("all", "drawn"):
        value = build(negatives=negatives, margin=0.3)(torch.ones(4, 2), torch.zeros(4, 2), TARGETS, MATCHES)
        assert value.item() == pytest.approx(0.3 * (0.5 + 0.2))


def test_pairs_apart_by_the_margin_cost_nothing() -> None:
    assert build()(torch.eye(4), torch.eye(4), TARGETS, MATCHES).item() == 0


def test_it_agrees_with_a_slow_loop() -> None:
    generator = torch.Generator().manual_seed(5)
    moments, queries = torch.randn(4, 3, generator=generator), torch.randn(4, 3, generator=generator)
    negatives = {"intra": {0: [1], 1: [0, 2], 2: [1]}, "inter": {0: [3], 1: [3], 2: [3], 3: [0, 1, 2]}}
    total = 0.0
    for kind, weight in (("intra", 0.5), ("inter", 0.2)):
        for row, others in negatives[kind].items():
            own = math.dist(queries[row].tolist(), moments[row].tolist()) ** 2
            hinges = [max(0.0, 0.4 + own - math.dist(queries[row].tolist(), moments[other].tolist()) ** 2) for other in others]
            total += weight * sum(hinges) / len(hinges) / len(negatives[kind])
    assert build(margin=0.4)(moments, queries, TARGETS, MATCHES).item() == pytest.approx(total, rel=1e-5)


def test_rows_of_a_video_between_overlap_and_match_are_not_negatives() -> None:
    """[0, 10) and [5, 12) have IoU 0.42: too small for a match, too large for a negative."""
    spans, same = torch.tensor([[[0.0, 10.0]], [[5.0, 12.0]]]), torch.zeros(2)
    targets = Targets(spans, torch.ones(2, 1, dtype=torch.bool), same, torch.arange(2))
    assert build()(torch.zeros(2, 2), torch.zeros(2, 2), targets, find_false_negatives(targets)).item() == 0


def test_rows_of_one_sentence_are_not_negatives() -> None:
    same = torch.ones(4, 4, dtype=torch.bool)
    assert build()(torch.zeros(4, 2), torch.zeros(4, 2), TARGETS, same).item() == 0


def test_the_overlap_of_rows_with_several_moments_is_that_of_the_nearest_two() -> None:
    spans = torch.tensor([[[0.0, 2.0], [8.0, 10.0]], [[8.0, 12.0], [20.0, 22.0]], [[4.0, 6.0], [0.0, 10.0]]])
    mask = torch.tensor([[True, True], [True, True], [True, False]])  # the last span is padding
    targets = Targets(spans, mask, torch.zeros(3), torch.arange(3))
    expected = torch.tensor([[1.0, 0.5, 0.0], [0.5, 1.0, 0.0], [0.0, 0.0, 1.0]])
    torch.testing.assert_close(compute_row_iou(targets), expected)
