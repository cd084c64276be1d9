"""Cell loss: binary cross entropy of cell scores against the share of each cell inside a true moment.

Letters: B rows, N cells.
"""

from typing import Literal

from torch import Tensor
from torch.nn import functional as F

from models.contracts.batches import LossDims
from models.losses.base import LossTerm, TermParams


class InsideBCELoss(LossTerm):
    """Mean BCE over the cells of a video, then over rows, in nats. For localizers that score cells (`Candidates.saliency`).

    Source: the inside/outside (foreground) term of proposal-free localizers, for instance LGI (arXiv:2004.07514), with soft
    targets: a half-covered cell has target 0.5.
    """

    inputs = ("saliency", "inside", "cell_mask")

    def forward(self, saliency: Tensor, inside: Tensor, cell_mask: Tensor) -> Tensor:
        """Return a scalar from logits, targets in [0, 1] and the mask of cells, each (B, N)."""
        mask = cell_mask.to(saliency.dtype)
        losses = F.binary_cross_entropy_with_logits(saliency, inside, reduction="none") * mask
        return (losses.sum(1) / mask.sum(1).clamp_min(1)).mean()


class InsideBCEParams(TermParams):
    """Values of the inside BCE: only the weight."""

    name: Literal["inside_bce"]

    def build(self, dims: LossDims) -> InsideBCELoss:
        """Return the loss."""
        return InsideBCELoss()
