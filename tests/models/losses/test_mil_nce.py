"""MIL-NCE on embeddings."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from models.losses.base import NO_DIMS
from models.losses.mil_nce import MILNCELoss, MILNCEParams

NOTHING = torch.zeros(4, 4, dtype=torch.bool)
SOME = torch.tensor([[0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]], dtype=torch.bool)  # the first two rows match


def build(**values: Any) -> MILNCELoss:
    return MILNCEParams(name="mil_nce", **values).build(NO_DIMS)


def slow_mil_nce(scores: list[list[float]], matches: list[list[bool]], *, released: bool) -> float:
    """Compute eq. 1 directly: the bag of moment i against the other pairs of moment i and of the queries of the bag."""
    rows, total = range(len(scores)), 0.0
    for i in rows:
        bag = [k for k in rows if matches[i][k] or i == k]
        positive = sum(math.exp(scores[i][k]) for k in bag)
        of_moment = sum(math.exp(scores[i][k]) for k in rows if k not in bag)
        of_queries = sum(math.exp(scores[j][k]) for k in bag for j in rows if released or not (matches[j][k] or j == k))
        total -= math.log(positive / (positive + of_moment + of_queries))
    return total / len(scores)


@pytest.mark.parametrize("denominator", ["paper", "released"])
@pytest.mark.parametrize("matches", [NOTHING, SOME])
def test_it_agrees_with_the_formula_written_out(denominator: str, matches: Tensor) -> None:
    generator = torch.Generator().manual_seed(5)
    moments, queries = torch.randn(4, 3, generator=generator), torch.randn(4, 3, generator=generator)
    scores = (moments @ queries.T / 0.7).tolist()
    expected = slow_mil_nce(scores, matches.tolist(), released=denominator == "released")
    assert build(denominator=denominator, temperature=0.7)(moments, queries, matches).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("denominator", "expected"), [("paper", math.log(7)), ("released", math.log(8))])
def test_without_signal_the_paper_costs_log_7_and_the_released_code_log_8(denominator: str, expected: float) -> None:
    zeros = torch.zeros(4, 3)
    assert build(denominator=denominator)(zeros, zeros, NOTHING).item() == pytest.approx(expected)


def test_a_query_without_any_score_changes_nothing() -> None:
    """Its dot products with other moments are about minus infinity; its own moment is left out of the comparison."""
    moments = torch.tensor([[1.0, 0.2, 0.0], [1.0, -0.4, 0.0]])
    queries = torch.tensor([[0.5, 1.0, 0.0], [0.3, -1.0, 0.0]])
    before = build()(moments, queries, NOTHING[:2, :2])
    far_moment, far_query = torch.tensor([[-1e4, 0.0, 0.0]]), torch.tensor([[-1e4, 0.0, 0.0]])
    after = build()(torch.cat([moments, far_moment]), torch.cat([queries, far_query]), NOTHING[:3, :3])
    assert after.item() == pytest.approx(before.item() * 2 / 3, rel=1e-5)


def test_a_bag_needs_only_one_good_query() -> None:
    """The first two rows match. The second query does not fit the first moment, which costs nothing in a bag."""
    moments, queries = 9 * torch.eye(4), torch.eye(4)
    shared = torch.stack([moments[0], moments[0], moments[2], moments[3]])
    strict, bags = build()(shared, queries, NOTHING), build()(shared, queries, SOME)
    assert strict.item() > 2
    assert bags.item() < 0.01


def test_raising_the_score_of_a_positive_lowers_the_loss() -> None:
    moments, queries = torch.eye(4), torch.eye(4)
    closer = moments.clone()
    closer[0, 0] = 2.0
    assert build()(closer, queries, SOME) < build()(moments, queries, SOME)
