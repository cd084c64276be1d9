"""The saliency hinge by hand, against a slow loop, and at its edges."""

import pytest
import torch

from models.losses.saliency_hinge import SaliencyHingeLoss


def compute(saliency: list[float], inside: list[float], num_cells: int | None = None) -> float:
    mask = torch.arange(len(inside))[None] < (num_cells or len(inside))
    return SaliencyHingeLoss(0.2)(torch.tensor([saliency]), torch.tensor([inside]), mask).item()


def test_pairs_by_hand() -> None:
    assert compute([1.0, 0.9, 2.0], [1.0, 0.0, 0.0]) == pytest.approx((0.1 + 1.2) / 2)


def test_it_is_zero_when_positives_exceed_negatives_by_the_margin() -> None:
    assert compute([1.0, 0.75, 2.0], [1.0, 0.0, 1.0]) == 0.0


def test_equal_saliency_costs_the_margin() -> None:
    assert compute([0.3] * 4, [1.0, 1.0, 0.0, 0.0]) == pytest.approx(0.2)


def test_cells_that_a_moment_touches_by_less_than_half_are_neither_kind() -> None:
    assert compute([1.0, 5.0, 0.0], [0.5, 0.4, 0.0]) == 0.0
    assert compute([1.0, -5.0, 0.0], [0.5, 0.4, 0.0]) == 0.0


def test_a_moment_shorter_than_half_a_cell_takes_the_cell_it_covers_most() -> None:
    assert compute([0.0, 0.0, 0.0], [0.3, 0.1, 0.0]) == pytest.approx(0.2)
    assert compute([0.0, -5.0, 0.0], [0.3, 0.1, 0.0]) == pytest.approx(0.2)


def test_cells_after_the_video_are_not_negatives() -> None:
    assert compute([1.0, 0.0, 9.0], [1.0, 0.0, 0.0], num_cells=2) == 0.0


@pytest.mark.parametrize("inside", [[1.0, 1.0], [0.0, 0.0]])
def test_a_row_without_both_kinds_counts_in_nothing(inside: list[float]) -> None:
    assert compute([0.0, 0.0], inside) == 0.0
    rows = torch.tensor([inside, [1.0, 0.0]])
    found = SaliencyHingeLoss(0.2)(torch.zeros(2, 2), rows, torch.ones(2, 2, dtype=torch.bool))
    assert found.item() == pytest.approx(0.2)


def test_it_equals_a_slow_loop_with_finite_gradients() -> None:
    generator = torch.Generator().manual_seed(0)
    saliency = torch.randn(4, 9, generator=generator, requires_grad=True)
    inside = (torch.rand(4, 9, generator=generator) * 2 - 0.8).clamp(0, 1)
    mask = torch.arange(9)[None] < torch.tensor([9, 7, 8, 9])[:, None]
    means = []
    for row in range(4):
        cells = [cell for cell in range(9) if mask[row, cell]]
        high = [cell for cell in cells if inside[row, cell] >= 0.5]
        low = [cell for cell in cells if inside[row, cell] == 0]
        terms = [(0.2 + saliency[row, left] - saliency[row, right]).clamp_min(0) for left in low for right in high]
        means.append(torch.stack(terms).mean())
    found = SaliencyHingeLoss(0.2)(saliency, inside, mask)
    torch.testing.assert_close(found, torch.stack(means).mean())
    found.backward()
    assert saliency.grad is not None
    assert saliency.grad.isfinite().all()
