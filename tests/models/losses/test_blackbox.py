"""Recall and average-precision losses by blackbox differentiation of ranks."""

import math
from typing import Any

import pytest
import torch
from sklearn.metrics import average_precision_score
from torch import Tensor

from models.layers.blackbox_rank import rank_blackbox, rank_descending
from models.losses.base import NO_DIMS
from models.losses.blackbox import BlackboxTerm, Rankings
from models.losses.blackbox_map import BlackboxMAPParams
from models.losses.blackbox_recall import BlackboxRecallParams

NOTHING = torch.zeros(2, 2, dtype=torch.bool)


def build_map(**values: Any) -> BlackboxTerm:
    return BlackboxMAPParams(name="blackbox_map", **values).build(NO_DIMS)


def build_recall(**values: Any) -> BlackboxTerm:
    return BlackboxRecallParams(name="blackbox_recall", **values).build(NO_DIMS)


def draw_rankings(num_rankings: int, num_items: int) -> Rankings:
    generator = torch.Generator().manual_seed(7)
    scores = torch.randn(num_rankings, num_items, generator=generator, dtype=torch.float64)
    relevant = torch.rand(num_rankings, num_items, generator=generator) < 0.4
    return Rankings(scores, relevant, torch.ones_like(relevant))


def test_the_highest_score_has_rank_1() -> None:
    assert rank_descending(torch.tensor([0.1, 0.9, 0.5])).tolist() == [3, 1, 2]


def test_the_gradient_of_ranks_by_hand() -> None:
    """Moved along (1, 0, 0), scores (0.1, 0.9, 0.5) become (1.1, 0.9, 0.5): ranks 3, 1, 2 become 1, 2, 3."""
    scores = torch.tensor([[0.1, 0.9, 0.5]], requires_grad=True)
    rank_blackbox(scores, 1.0)[0, 0].backward()
    assert scores.grad is not None
    assert scores.grad.tolist() == [[-2.0, 1.0, 1.0]]


@pytest.mark.parametrize("shape", [(4, 4), (3, 9), (9, 3)])
def test_without_margin_the_map_loss_is_1_minus_average_precision(shape: tuple[int, int]) -> None:
    rankings = draw_rankings(*shape)
    used = [row for row in range(shape[0]) if rankings.relevant[row].any()]
    precisions = [average_precision_score(rankings.relevant[row].numpy(), rankings.scores[row].numpy()) for row in used]
    loss = build_map(margin=0.0).compute(rankings)
    assert loss.item() == pytest.approx(1 - sum(precisions) / len(precisions))


@pytest.mark.parametrize("shape", [(4, 4), (3, 9), (9, 3)])
@pytest.mark.parametrize("weighting", ["log", "log_log"])
def test_the_recall_loss_agrees_with_a_slow_loop_on_rankings_of_any_shape(shape: tuple[int, int], weighting: str) -> None:
    rankings = draw_rankings(*shape)
    total = []
    for scores, relevant in zip(rankings.scores.tolist(), rankings.relevant.tolist(), strict=True):
        before = [
            sum(other > score and not is_relevant for other, is_relevant in zip(scores, relevant, strict=True))
            for score, used in zip(scores, relevant, strict=True)
            if used
        ]
        weights = [math.log1p(count) for count in before]
        if before:
            total.append(sum(map(math.log1p, weights) if weighting == "log_log" else weights) / len(before))
    loss = build_recall(margin=0.0, weighting=weighting).compute(rankings)
    assert loss.item() == pytest.approx(sum(total) / len(total))


@pytest.mark.parametrize("build", [build_map, build_recall])
def test_relevant_items_far_ahead_cost_nothing_and_have_no_gradient(build: Any) -> None:
    moments = torch.eye(2, requires_grad=True)
    value = build(interpolation=0.5)(moments, torch.eye(2), NOTHING)
    value.backward()
    assert value.item() == 0
    assert moments.grad is not None
    assert not moments.grad.any()


@pytest.mark.parametrize("build", [build_map, build_recall])
def test_relevant_items_ahead_by_less_than_the_margin_still_cost(build: Any) -> None:
    scores, iou, valid = torch.tensor([[0.51, 0.5]]), torch.tensor([[0.9, 0.1]]), torch.ones(1, 2, dtype=torch.bool)
    assert build(on="candidates", margin=0.0)(scores, iou, valid).item() == 0
    assert build(on="candidates", margin=0.02)(scores, iou, valid).item() > 0


@pytest.mark.parametrize("build", [build_map, build_recall])
def test_descent_puts_two_swapped_items_in_order(build: Any) -> None:
    scores = torch.tensor([[0.2, 0.5]], requires_grad=True)
    iou, valid = torch.tensor([[0.9, 0.1]]), torch.ones(1, 2, dtype=torch.bool)
    loss = build(on="candidates", margin=0.1)
    for _ in range(20):
        (gradient,) = torch.autograd.grad(loss(scores, iou, valid), scores)
        scores = (scores.detach() - 0.05 * gradient).requires_grad_(True)
    assert scores[0, 0].item() >= scores[0, 1].item() + 0.1


@pytest.mark.parametrize("build", [build_map, build_recall])
def test_a_small_interpolation_sees_no_change_of_ranks(build: Any) -> None:
    rankings = draw_rankings(4, 6)
    scores = rankings.scores.requires_grad_(True)
    build(interpolation=1e-9).compute(rankings).backward()
    assert scores.grad is not None
    assert not scores.grad.any()


@pytest.mark.parametrize("build", [build_map, build_recall])
def test_pairs_that_match_too_are_relevant(build: Any) -> None:
    moments, queries = torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([[0.1, 1.0], [0.1, 1.0]])
    assert build()(moments, queries, NOTHING).item() > 0
    assert build()(moments, queries, ~NOTHING).item() == 0


def test_ranks_do_not_depend_on_the_length_of_embeddings() -> None:
    generator = torch.Generator().manual_seed(3)
    moments, queries = torch.randn(5, 4, generator=generator), torch.randn(5, 4, generator=generator)
    nothing = torch.zeros(5, 5, dtype=torch.bool)
    loss: Tensor = build_map()(moments, queries, nothing)
    assert loss.item() == pytest.approx(build_map()(7 * moments, queries / 3, nothing).item())
