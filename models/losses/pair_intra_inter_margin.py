"""Margin ranking of matched moments and queries against moments of the same video, and of other videos.

Letters: B pairs, E embedding width, G true moments.
"""

from typing import Literal

from torch import Tensor

from models.contracts.batches import LossDims, Targets
from models.layers.margin_ranking import MarginValues
from models.layers.multiple_instance_nce import find_matches
from models.layers.spans import compute_pairwise_iou
from models.losses.base import LossTerm, TermParams


class PairIntraInterMarginLoss(LossTerm):
    """The loss `intra_inter_margin` on embeddings, with squared distances between queries and moments of the batch.

    For the query of a row, negatives of its video are rows of that video whose true moments have IoU below
    `max_negative_iou` with those of the row. Negatives of other videos are the rows of other videos. Unpaired rows that match
    are neither. One negative of each kind is drawn per row and step, or all are averaged; rows without negatives are left
    out of that mean. A small `videos_per_batch` gives rows more negatives of their own video.
    Source: Hendricks et al. 2017 (arXiv:1708.01641), eq. 2-4, and Escorcia et al. 2019 (arXiv:1907.12763), where moments and
    sentences share a space. Deviation: the negative of another video is an annotated moment instead of the same span.
    """

    inputs = ("moments", "queries", "targets", "false_negatives")

    def __init__(self, values: MarginValues) -> None:
        """Store the values."""
        super().__init__()
        self.values = values

    def forward(self, moments: Tensor, queries: Tensor, targets: Targets, false_negatives: Tensor) -> Tensor:
        """Return a scalar from embeddings (B, E), true moments of rows and further matching pairs, (B, B) bool."""
        lengths = queries.square().sum(1)[:, None] + moments.square().sum(1)[None, :]
        distances = lengths - 2 * queries @ moments.T  # (B, B) squared, query by moment
        same_video = targets.video_index[:, None] == targets.video_index[None, :]
        differs = ~find_matches(false_negatives).T
        apart = compute_row_iou(targets) < self.values.max_negative_iou
        intra, inter = same_video & apart & differs, ~same_video & differs
        return self.values.rank(distances.diagonal(), intra=(distances, intra), inter=(distances, inter))


def compute_row_iou(targets: Targets) -> Tensor:
    """Return the highest IoU between the true moments of any two rows, (B, B), regardless of their videos."""
    num_rows, num_spans = targets.mask.shape
    spans = (targets.spans * targets.mask[..., None]).flatten(0, 1)  # (B * G, 2), empty spans where masked
    iou = compute_pairwise_iou(spans, spans).reshape(num_rows, num_spans, num_rows, num_spans)
    return iou.amax((1, 3))


class PairIntraInterMarginParams(MarginValues, TermParams):
    """Values of the margin ranking on embeddings."""

    name: Literal["pair_intra_inter_margin"]

    def build(self, dims: LossDims) -> PairIntraInterMarginLoss:
        """Return the loss."""
        return PairIntraInterMarginLoss(self)
