"""Span arithmetic on tensors, compared with `corpus.moments`."""

import numpy as np
import pytest
import torch

from corpus.moments import compute_iou
from models.contracts.batches import Targets
from models.layers.spans import compute_inside, compute_pairwise_iou, compute_target_iou


def make_targets(spans: list[list[list[float]]], mask: list[list[bool]]) -> Targets:
    rows = torch.arange(len(spans))
    return Targets(torch.tensor(spans), torch.tensor(mask), rows, rows)


def test_pairwise_iou_agrees_with_numpy() -> None:
    generator = np.random.default_rng(0)
    left, right = (np.sort(generator.uniform(0, 10, size=(count, 2)), axis=1) for count in (6, 4))
    left[0] = [3.0, 3.0]
    found = compute_pairwise_iou(torch.from_numpy(left), torch.from_numpy(right))
    np.testing.assert_allclose(found.numpy(), compute_iou(left, right), atol=1e-12)


def test_two_spans_of_length_zero_have_iou_0() -> None:
    assert compute_pairwise_iou(torch.tensor([[2.0, 2.0]]), torch.tensor([[2.0, 2.0]])).item() == 0


def test_target_iou_is_the_best_of_the_true_moments_that_are_not_masked() -> None:
    targets = make_targets([[[0.0, 4.0], [6.0, 8.0], [1.0, 3.0]]], [[True, True, False]])
    spans = torch.tensor([[[1.0, 3.0], [6.0, 8.0], [20.0, 21.0]]])
    assert compute_target_iou(spans, targets).tolist() == [[0.5, 1.0, 0.0]]


def test_inside_is_the_covered_share_of_each_cell() -> None:
    targets = make_targets([[[1.0, 5.0], [0.0, 0.0]]], [[True, False]])
    mask = torch.tensor([[True, True, True, True, False]])
    inside = compute_inside(targets, mask, torch.tensor([8.0]))
    assert inside[0].tolist() == pytest.approx([0.5, 1.0, 0.5, 0.0, 0.0])
