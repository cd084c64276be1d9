"""Differentiable ranks by blackbox differentiation.

Letters: Q rankings, C items of a ranking.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor


class Ranks(NamedTuple):
    """The ranks of the items of each ranking, from 1 for the highest score. Ranks of unused items are meaningless."""

    among_all: Tensor  # (Q, C)
    among_relevant: Tensor  # (Q, C), meaningful for relevant items only


class _BlackboxRank(torch.autograd.Function):
    """Ranks in the forward pass; in the backward pass, the difference to the ranks of scores moved along the gradient."""

    @staticmethod
    def forward(ctx: Any, scores: Tensor, interpolation: float) -> Tensor:
        ranks = rank_descending(scores)
        ctx.save_for_backward(scores, ranks)
        ctx.interpolation = interpolation
        return ranks

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        scores, ranks = ctx.saved_tensors
        moved = rank_descending(scores + ctx.interpolation * gradients[0])
        return (moved - ranks) / ctx.interpolation, None


def rank_descending(scores: Tensor) -> Tensor:
    """Return the rank of each score in its row, 1 for the highest, in the dtype of the scores; ties go to the first one."""
    order = scores.argsort(dim=-1, descending=True, stable=True)
    positions = torch.arange(1, scores.shape[-1] + 1, device=scores.device, dtype=scores.dtype)
    return torch.empty_like(scores).scatter_(-1, order, positions.expand_as(scores))


def rank_blackbox(scores: Tensor, interpolation: float) -> Tensor:
    """Return `rank_descending`, whose gradient for an upstream gradient g is (rank(s + l g) - rank(s)) / l, l the interpolation.

    Source: Vlastelica et al. 2020 (arXiv:1912.02175), algorithm 1; Rolinek et al. 2020 (arXiv:1912.03500), section 3.
    """
    ranks: Tensor = _BlackboxRank.apply(scores, interpolation)  # type: ignore[no-untyped-call]
    return ranks


def compute_ranks(scores: Tensor, relevant: Tensor, usable: Tensor, *, interpolation: float, margin: float) -> Ranks:
    """Return ranks among all usable items and among relevant ones; all inputs are (Q, C) and need not be square.

    Scores of relevant items are first lowered by half the margin and other scores raised by half of it, which demands a
    gap of the margin.
    """
    shifted = scores + margin * (0.5 - relevant.to(scores.dtype))
    among_all = rank_blackbox(shifted.masked_fill(~usable, -torch.inf), interpolation)
    among_relevant = rank_blackbox(shifted.masked_fill(~relevant, -torch.inf), interpolation)
    return Ranks(among_all, among_relevant)
