"""Triplet loss: a margin between the distances to a positive and a negative, on mined triplets.

Letters: B rows of a batch, R vectors, T triplets.
"""

from typing import Any, Literal

from pydantic import Field, PositiveFloat
from torch import Tensor

from models.contracts.batches import LossDims
from models.layers.spans import find_near_moments
from models.losses.base import LossTerm
from models.losses.labelled import LabelledRows, PairwiseTermParams, evaluate_rows
from models.losses.mining import MinerName, MiningTracker, Triplets, build_miner


class TripletLoss(LossTerm):
    """Mean over mined triplets of relu(d(a,p) - d(a,n) + margin), d between unit vectors.

    After mining, triplets are dropped if the negative is in the anchor's video and their moments have IoU >=
    `max_negative_iou`. `collect_report` returns the mining figures of an epoch (`MiningTracker`).
    Source: FaceNet, Schroff et al. 2015 (arXiv:1503.03832), eq. 3, with distances instead of squared distances; loss and
    miners come from pytorch-metric-learning.
    """

    def __init__(self, params: "TripletParams") -> None:
        """Build the miner."""
        from pytorch_metric_learning.losses import TripletMarginLoss
        from pytorch_metric_learning.reducers import MeanReducer

        super().__init__()
        self.reading = params.choose_reading()
        self.inputs = (*self.reading.inputs, "targets")
        self.max_negative_iou = params.max_negative_iou
        self.mine = build_miner(params.miner, params.margin)
        self.tracker = MiningTracker(params.margin)
        self.library = TripletMarginLoss(margin=params.margin, reducer=MeanReducer())

    def forward(self, *inputs: Any) -> Tensor:
        """Return a scalar, 0 without mined triplets; `inputs` are those of the reading, and the targets."""
        *labelled, targets = inputs
        rows = self.reading.read(*labelled)
        mined = self._choose_triplets(rows, find_near_moments(targets, self.max_negative_iou))
        self.tracker.record(rows, mined)
        return evaluate_rows(lambda rows: self.library(rows.vectors, rows.classes, tuple(mined)), rows)

    def _choose_triplets(self, rows: LabelledRows, near: Tensor) -> Triplets:
        if len(rows.vectors) == 0:
            return Triplets(rows.classes, rows.classes, rows.classes)
        found = Triplets(*self.mine(rows.vectors.detach(), rows.classes))
        return found.keep(~near[rows.batch_rows[found.anchors], rows.batch_rows[found.negatives]])

    def collect_report(self) -> dict[str, float]:
        """Return the triplet figures since the last report."""
        return self.tracker.report()


class TripletParams(PairwiseTermParams):
    """Values of the triplet loss."""

    name: Literal["triplet"]
    margin: PositiveFloat = 0.2
    miner: MinerName = "semi_hard"
    max_negative_iou: float = Field(default=0.35, gt=0, le=1)  # with the anchor's moment, in one video

    def build(self, dims: LossDims) -> TripletLoss:
        """Return the loss with its miner."""
        return TripletLoss(self)
