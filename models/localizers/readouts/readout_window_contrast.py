"""Windows of every length, scored by the contrast of the similarity inside with its surroundings.

Letters: B rows, N cells, P places, D width, M = N (N + 1) / 2 spans of cells.
"""

from typing import Literal

from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor
from torch.nn import functional as F

from models.contracts.batches import InputDims
from models.layers.dense_grid import DenseGrid
from models.localizers.readouts.similarity import GridReadout, Readings, ReadoutValues


class WindowContrast(GridReadout):
    """All windows of up to `max_cells` cells are answers; a score is (mean inside - w mean outside) * n ** exponent.

    The mean inside minus the mean outside is the static score of Zheng et al. 2024 (arXiv:2408.16219). Deviations: every
    window of the grid is scored instead of proposals of a language model; transitions have no score; the outside has a
    weight w and consists of two flanks, each `flank_share` times as long as the window, or shorter at the ends of the video.
    """

    def __init__(self, params: "WindowContrastParams", dims: InputDims) -> None:
        """Build for places and sentences of one width."""
        super().__init__(params, dims)
        self.params = params

    def read(self, curve: Tensor, mask: Tensor, places: Tensor) -> Readings:
        """Return every window that is not too long."""
        lengths = self.grid.lengths
        outside = compute_flanks(self.grid, curve, mask, share=self.params.flank_share)
        contrast = self.grid.sum_inside(curve) / lengths - self.params.flank_weight * outside
        scores = contrast * lengths.to(curve.dtype) ** self.params.exponent
        return Readings(scores, (lengths <= self.params.max_cells).expand_as(scores))


def compute_flanks(grid: DenseGrid, curve: Tensor, mask: Tensor, *, share: float) -> Tensor:
    """Return the mean of the curve over the flanks of each span, inside the video: (B, N) -> (B, M).

    A flank has `share` times as many cells as the span, rounded down, at least one. A span without flanks, the whole video,
    has 0. The curve is 0 outside the video.
    """
    num_cells = (grid.lengths * share).long().clamp_min(1)  # (M,) of a flank
    before, behind = (grid.first - num_cells).clamp_min(0), (grid.last + 1 + num_cells).clamp_max(grid.num_cells)
    sums, counts = (_sum_around(grid, values, before, behind) for values in (curve, mask.to(curve.dtype)))
    return sums / counts.clamp_min(1)


def _sum_around(grid: DenseGrid, values: Tensor, before: Tensor, behind: Tensor) -> Tensor:
    totals = F.pad(values.cumsum(1), (1, 0))  # (B, N + 1)
    return totals[:, grid.first] - totals[:, before] + totals[:, behind] - totals[:, grid.last + 1]


class WindowContrastParams(ReadoutValues):
    """Values of `WindowContrast`."""

    name: Literal["readout_window_contrast"]
    exponent: NonNegativeFloat = 0.3  # of the number of cells n; a higher exponent gives longer answers
    flank_share: PositiveFloat = 2.0  # length of a flank in windows; num_cells: the whole rest of the video
    flank_weight: NonNegativeFloat = 0.25  # w
    max_cells: PositiveInt = 32  # of a window

    def build(self, dims: InputDims) -> WindowContrast:
        """Return the readout; it has no weights."""
        return WindowContrast(self, dims)
