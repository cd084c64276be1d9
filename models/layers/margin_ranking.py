"""Margin ranking of one positive against masked negatives.

Letters: R rows, C negatives.
"""

from typing import Literal

import torch
from pydantic import Field, NonNegativeFloat, PositiveFloat
from torch import Tensor
from torch.nn import functional as F

from corpus.params import Params

Negatives = Literal["drawn", "all"]
MAX_NEGATIVE_IOU = 0.35  # of a negative with a true moment


class MarginValues(Params):
    """Values of a ranking against negatives of the same video and of other videos, with separate weights."""

    margin: PositiveFloat = 0.1
    intra_weight: NonNegativeFloat = 0.5
    inter_weight: NonNegativeFloat = 0.2
    max_negative_iou: float = Field(default=MAX_NEGATIVE_IOU, gt=0, le=1)
    negatives: Negatives = "drawn"

    def rank(self, positives: Tensor, *, intra: tuple[Tensor, Tensor], inter: tuple[Tensor, Tensor]) -> Tensor:
        """Return the weighted sum of both rankings: positive distances (R,), negative distances and their masks (R, C)."""
        near, far = (
            compute_margin_ranking(positives, negatives, allowed, margin=self.margin, use=self.negatives)
            for negatives, allowed in (intra, inter)
        )
        return self.intra_weight * near + self.inter_weight * far


def compute_margin_ranking(positives: Tensor, negatives: Tensor, allowed: Tensor, *, margin: float, use: Negatives) -> Tensor:
    """Return the mean hinge max(0, margin + positive - negative) of distances (R,) and (R, C), over rows, then rows' negatives.

    `allowed` (R, C) bool marks the negatives. Rows without negatives are left out; without any row the value is 0. `drawn`
    takes one random negative per row from torch's generator; `all` averages over the negatives of a row.
    """
    if use == "drawn":
        chosen = draw_allowed(allowed)  # (R, 1)
        negatives, allowed = negatives.gather(1, chosen), allowed.gather(1, chosen)
    hinges = F.relu(margin + positives[:, None] - negatives) * allowed  # (R, C)
    counts = allowed.sum(1)
    return (hinges.sum(1) / counts.clamp_min(1)).sum() / (counts > 0).sum().clamp_min(1)


def draw_allowed(allowed: Tensor) -> Tensor:
    """Return a uniformly random allowed column of each row, (R, 1); an arbitrary one if a row has none."""
    return torch.rand(allowed.shape, device=allowed.device).masked_fill(~allowed, -1.0).argmax(1, keepdim=True)
