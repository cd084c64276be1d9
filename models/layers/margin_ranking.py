"""Margin ranking of one positive against masked negatives.

Letters: R rows, C negatives.
"""

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

Negatives = Literal["drawn", "all"]
MAX_NEGATIVE_IOU = 0.35  # with a true moment, of a moment that counts as a negative


def compute_margin_ranking(positives: Tensor, negatives: Tensor, allowed: Tensor, *, margin: float, use: Negatives) -> Tensor:
    """Return the mean hinge max(0, margin + positive - negative) of distances (R,) and (R, C), over rows, then rows' negatives.

    `allowed` (R, C) bool marks the negatives; rows without one are left out, and without any such row the value is 0.
    `drawn` takes one negative of each row at random, from torch's generator; `all` averages over a row's negatives.
    """
    if use == "drawn":
        chosen = draw_allowed(allowed)  # (R, 1)
        negatives, allowed = negatives.gather(1, chosen), allowed.gather(1, chosen)
    hinges = F.relu(margin + positives[:, None] - negatives) * allowed  # (R, C)
    counts = allowed.sum(1)
    return (hinges.sum(1) / counts.clamp_min(1)).sum() / (counts > 0).sum().clamp_min(1)


def draw_allowed(allowed: Tensor) -> Tensor:
    """Return a random allowed column of each row, (R, 1), all equally likely; any where a row has none."""
    return torch.rand(allowed.shape, device=allowed.device).masked_fill(~allowed, -1.0).argmax(1, keepdim=True)
