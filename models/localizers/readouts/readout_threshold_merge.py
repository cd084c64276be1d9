"""Runs of cells above a threshold, merged across short gaps: the simplest readout and baseline of the others.

Letters: B rows, N cells, P places, D width, M = N (N + 1) / 2 spans of cells.
"""

from typing import Literal

from pydantic import NonNegativeInt
from torch import Tensor
from torch.nn import functional as F

from models.contracts.batches import InputDims
from models.localizers.readouts.runs import find_runs
from models.localizers.readouts.similarity import GridReadout, Readings, ReadoutValues


class ThresholdMerge(GridReadout):
    """Cells above a threshold, with gaps of up to `max_gap_cells` closed, form runs; a run's score is its mean similarity.

    Source: the usual post-processing of frame scores, such as the baseline of Diwan et al. 2022 (arXiv:2211.02178).
    """

    def __init__(self, params: "ThresholdMergeParams", dims: InputDims) -> None:
        """Build for places and sentences of one width."""
        super().__init__(params, dims)
        self.threshold = params.threshold
        self.max_gap_cells = params.max_gap_cells

    def read(self, curve: Tensor, mask: Tensor, places: Tensor) -> Readings:
        """Return the merged runs."""
        merged = close_gaps((curve > self.threshold) & mask, max_cells=self.max_gap_cells)
        return Readings(self.grid.sum_inside(curve) / self.grid.lengths, find_runs(self.grid, merged))


def close_gaps(flags: Tensor, *, max_cells: int) -> Tensor:
    """Return the flags after setting short runs of unset flags between set flags: (B, N) bool.

    This is a morphological closing: a flag is set if every window of `max_cells` + 1 cells around it has a set flag.
    """
    padded = F.pad(flags.float(), (max_cells, max_cells))[:, None]  # (B, 1, N + 2 max_cells)
    dilated = F.max_pool1d(padded, max_cells + 1, stride=1)
    return F.max_pool1d(-dilated, max_cells + 1, stride=1)[:, 0] < -0.5


class ThresholdMergeParams(ReadoutValues):
    """Values of `ThresholdMerge`."""

    name: Literal["readout_threshold_merge"]
    threshold: float = 1.0  # of the standardised curve, in deviations above the mean
    max_gap_cells: NonNegativeInt = 1

    def build(self, dims: InputDims) -> ThresholdMerge:
        """Return the readout; it has no weights."""
        return ThresholdMerge(self, dims)
