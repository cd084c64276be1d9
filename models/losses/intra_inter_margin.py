"""Margin ranking of the best candidate against others of its video, and against the same candidate of another video.

Letters: B rows, M candidates.
"""

from typing import Literal

from torch import Tensor

from models.contracts.batches import Candidates, LossDims
from models.layers.margin_ranking import MarginValues
from models.losses.base import LossTerm, TermParams


class IntraInterMarginLoss(LossTerm):
    """a * mean max(0, m + d(p) - d(n)) over negatives of the video + b * the same against another video; d = -score.

    The positive p is the valid candidate of highest IoU in a row. Negatives of its video are other valid candidates with IoU
    below `max_negative_iou`, either one drawn per row and step, or the average over all. The negative of another video is
    the same candidate there, for the same sentence. Rows without such a negative are left out of that mean.
    Source: Hendricks et al. 2017 (arXiv:1708.01641), eq. 2-4; weights and IoU of the re-implementation
    `escorciav/moments-retrieval`. Deviations: the positive is a candidate instead of the annotated span; in a video of
    another length, the same candidate covers the same fraction instead of the same seconds.
    """

    inputs = ("scores", "iou", "valid", "other_candidates", "other_differs")

    def __init__(self, values: MarginValues) -> None:
        """Store the values."""
        super().__init__()
        self.values = values

    def forward(self, scores: Tensor, iou: Tensor, valid: Tensor, other_candidates: Candidates, other_differs: Tensor) -> Tensor:
        """Return a scalar; scores, IoU and validity are (B, M), `other_differs` (B,) marks rows with another video."""
        best = iou.masked_fill(~valid, -1.0).argmax(1, keepdim=True)  # (B, 1)
        positive = -scores.gather(1, best)  # (B, 1)
        apart = (valid & (iou < self.values.max_negative_iou)).scatter(1, best, False)
        there = other_candidates.valid.gather(1, best) & other_differs[:, None]
        elsewhere = -other_candidates.scores.gather(1, best)  # (B, 1)
        return self.values.rank(positive[:, 0], intra=(-scores, apart), inter=(elsewhere, there))


class IntraInterMarginParams(MarginValues, TermParams):
    """Values of the margin ranking; the defaults are those of the re-implementation."""

    name: Literal["intra_inter_margin"]

    def build(self, dims: LossDims) -> IntraInterMarginLoss:
        """Return the loss."""
        return IntraInterMarginLoss(self)
