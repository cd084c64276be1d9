"""Multiple-instance NCE on scores. The loss `mil_nce` has separate tests."""

import math

import pytest
import torch
from torch import Tensor

from models.layers.multiple_instance_nce import compute_multiple_instance_nce


def compute_slowly(scores: Tensor, positives: Tensor) -> float:
    """Compute -mean_i log(sum_pos e^s / (sum_pos e^s + sum_neg e^s))."""
    ratios = []
    for row, marks in zip(scores.tolist(), positives.tolist(), strict=True):
        above = sum(math.exp(score) for score, mark in zip(row, marks, strict=True) if mark)
        below = sum(math.exp(score) for score, mark in zip(row, marks, strict=True) if not mark)
        if any(marks):
            ratios.append(-math.log(above / (above + below)))
    return sum(ratios) / len(ratios)


def test_equal_scores_cost_the_log_of_columns_per_positive() -> None:
    positives = torch.tensor([[True, False, False, False], [True, True, False, False]])
    loss = compute_multiple_instance_nce(torch.zeros(2, 4), positives)
    assert loss.item() == pytest.approx((math.log(4) + math.log(2)) / 2)


def test_a_positive_stands_once_in_the_denominator() -> None:
    """If it counted twice, one positive among two equal scores would cost log 3."""
    assert compute_multiple_instance_nce(torch.zeros(1, 2), torch.tensor([[True, False]])).item() == pytest.approx(math.log(2))


def test_mil_nce_agrees_with_the_formula_written_out() -> None:
    generator = torch.Generator().manual_seed(3)
    scores = torch.randn(6, 9, generator=generator, dtype=torch.float64)
    positives = torch.rand(6, 9, generator=generator) < 0.3
    positives[4] = False
    assert compute_multiple_instance_nce(scores, positives).item() == pytest.approx(compute_slowly(scores, positives))


def test_mil_nce_does_not_depend_on_the_order_of_rows_or_columns_nor_on_a_shift_of_a_row() -> None:
    generator = torch.Generator().manual_seed(3)
    scores, positives = torch.randn(4, 5, generator=generator), torch.rand(4, 5, generator=generator) < 0.5
    rows, columns = torch.randperm(4, generator=generator), torch.randperm(5, generator=generator)
    expected = compute_multiple_instance_nce(scores, positives)
    torch.testing.assert_close(compute_multiple_instance_nce(scores[rows][:, columns], positives[rows][:, columns]), expected)
    torch.testing.assert_close(compute_multiple_instance_nce(scores + torch.tensor([[9.0]]), positives), expected)


def test_a_negative_of_minus_infinity_changes_nothing() -> None:
    scores, positives = torch.tensor([[0.3, -0.2]]), torch.tensor([[True, False]])
    longer = torch.cat([scores, torch.tensor([[-torch.inf]])], dim=1)
    marks = torch.cat([positives, torch.tensor([[False]])], dim=1)
    torch.testing.assert_close(compute_multiple_instance_nce(longer, marks), compute_multiple_instance_nce(scores, positives))


def test_raising_the_score_of_a_positive_lowers_the_loss() -> None:
    positives = torch.tensor([[True, False, True]])
    low = compute_multiple_instance_nce(torch.tensor([[0.0, 1.0, 0.0]]), positives)
    high = compute_multiple_instance_nce(torch.tensor([[0.5, 1.0, 0.0]]), positives)
    assert high < low


@pytest.mark.parametrize("num_positives", [0, 1, 4])
def test_mil_nce_has_finite_gradients_without_any_and_with_only_positives(num_positives: int) -> None:
    scores = torch.zeros(2, 4, requires_grad=True)
    compute_multiple_instance_nce(scores, (torch.arange(4) < num_positives).expand(2, 4)).backward()
    assert scores.grad is not None
    assert torch.isfinite(scores.grad).all()
