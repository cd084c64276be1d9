"""Saliency hinge between cells inside and cells outside a true moment.

Letters: B rows, N cells.
"""

from typing import Literal

from pydantic import PositiveFloat
from torch import Tensor
from torch.nn import functional as F

from models.contracts.batches import LossDims
from models.losses.base import LossTerm, TermParams

INSIDE_SHARE = 0.5  # of a cell: a cell with at least this share in a true moment is a positive


class SaliencyHingeLoss(LossTerm):
    """Mean of max(0, margin + negative - positive) over the pairs of a row, then over rows with both kinds of cells.

    Positives are cells at least half inside true moments, or the most covered cells of a row without such a cell. Negatives are
    cells of the video that no true moment touches.
    Source: Moment-DETR (arXiv:2107.09609), eq. 5, second term. Deviations: the first term is left out, because it needs
    human saliency ratings; all pairs of a row, which is the expectation of the authors' few random pairs.
    """

    inputs = ("saliency", "inside", "cell_mask")

    def __init__(self, margin: float) -> None:
        """Store the margin."""
        super().__init__()
        self.margin = margin

    def forward(self, saliency: Tensor, inside: Tensor, cell_mask: Tensor) -> Tensor:
        """Return a scalar from logits, shares in [0, 1] and the mask of cells, each (B, N); 0 if no row has both kinds."""
        inside = inside.masked_fill(~cell_mask, 0.0)
        enough = inside.amax(1, keepdim=True).clamp_max(INSIDE_SHARE)  # (B, 1)
        positive = (inside >= enough) & (inside > 0)
        negative = (inside == 0) & cell_mask
        pairs = (positive[:, :, None] & negative[:, None, :]).to(saliency.dtype)  # (B, N, N)
        losses = F.relu(self.margin + saliency[:, None, :] - saliency[:, :, None])
        count = pairs.sum((1, 2))  # (B,)
        rows = (losses * pairs).sum((1, 2)) / count.clamp_min(1)
        return rows.sum() / (count > 0).sum().clamp_min(1)


class SaliencyHingeParams(TermParams):
    """Values of the saliency hinge; the margin is the authors'."""

    name: Literal["saliency_hinge"]
    margin: PositiveFloat = 0.2

    def build(self, dims: LossDims) -> SaliencyHingeLoss:
        """Return the loss."""
        return SaliencyHingeLoss(self.margin)
