"""Temporal actionness grouping: basins of the flooded similarity curve, grouped at every level and every tolerance.

Letters: B rows, N cells, P places, D width, G water levels, M = N (N + 1) / 2 spans of cells.
"""

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from models.contracts.batches import InputDims
from models.localizers.readouts.runs import find_run_ends, find_run_starts
from models.localizers.readouts.similarity import GridReadout, Readings, ReadoutValues, compute_excess

_ROUNDING = 1e-4  # rounding of a share of cells; different shares of up to a thousand cells differ by more


class Watershed(GridReadout):
    """The proposals of TAG are answers, scored by `compute_excess`.

    Source: Zhao et al. 2017 (arXiv:1704.06228), section 4.1. The curve, scaled to [0, 1], is flooded to a level: the cells
    above it form basins. From each basin as a seed, the basins that follow are absorbed while the share of basin cells in
    the stretch so far is at least the tolerance. Levels and tolerances lie `step` apart in (0, 1), and the answers
    are the union over all pairs. Deviations: the paper's suppression at IoU 0.95 is left to the caller, who suppresses
    overlaps anyway; proposals are ranked by their excess instead of a trained classifier.
    """

    def __init__(self, params: "WatershedParams", dims: InputDims) -> None:
        """Build for places and sentences of one width."""
        super().__init__(params, dims)
        self.step = params.step
        self.level = params.level

    def read(self, curve: Tensor, mask: Tensor, places: Tensor) -> Readings:
        """Return the proposals of all levels and tolerances."""
        proposed = find_proposals(rescale(curve, mask), mask, step=self.step)  # (B, N, N)
        scores = compute_excess(self.grid, curve, mask, level=self.level)
        return Readings(scores, proposed[:, self.grid.first, self.grid.last])


def rescale(curve: Tensor, mask: Tensor) -> Tensor:
    """Scale the curve from 0 (its lowest cell inside the video) to 1 (its highest); 0 outside: (B, N) -> (B, N)."""
    lowest = curve.masked_fill(~mask, torch.finfo(curve.dtype).max).amin(1, keepdim=True)
    highest = curve.masked_fill(~mask, torch.finfo(curve.dtype).min).amax(1, keepdim=True)
    return ((curve - lowest) / (highest - lowest).clamp_min(torch.finfo(curve.dtype).tiny)).masked_fill(~mask, 0.0)


def find_proposals(curve: Tensor, mask: Tensor, *, step: float) -> Tensor:
    """Return which (first, last) TAG proposes at some level and tolerance: (B, N) in [0, 1] -> (B, N, N) bool.

    The least shares of a seed's stretches fall; a tolerance picks the last stretch whose least share reaches it. A stretch
    is proposed if some tolerance lies between its least share and the next stretch's.
    """
    count = round(1 / step) - 1  # of levels, and of tolerances
    levels = torch.arange(1, count + 1, device=curve.device).to(curve.dtype) * step  # (G,)
    basins = (curve[:, None] > levels[:, None]) & mask[:, None]  # (B, G, N)
    ends = find_run_ends(basins)
    reached = _count_tolerances(_compute_least_shares(basins, ends), step=step, count=count)  # (B, G, N, N)
    of_next = F.pad(reached, (0, 1)).gather(-1, _find_next(ends)[:, :, None].expand_as(reached))
    is_proposed = find_run_starts(basins)[..., :, None] & ends[..., None, :] & (reached > of_next + 0.5)
    return is_proposed.any(1) & _is_ordered(curve.shape[1], curve.device)


def _compute_least_shares(basins: Tensor, ends: Tensor) -> Tensor:
    """Return the smallest share of basin cells in the stretches of a seed up to each cell: (B, G, N) -> (B, G, N, N).

    Stretches run from the seed, by rows, to the end of a basin; cells inside a basin repeat the value before them.
    """
    num_cells = basins.shape[-1]
    axis = torch.arange(num_cells, device=basins.device)
    totals = F.pad(basins.float().cumsum(-1), (1, 0))  # (B, G, N + 1)
    counts = totals[..., None, 1:] - totals[..., :-1, None]  # (B, G, N, N) basin cells from a seed to a cell
    shares = counts / (axis[None, :] - axis[:, None] + 1).clamp_min(1)
    least = torch.where(ends[..., None, :] & _is_ordered(num_cells, basins.device), shares, 1.0)
    reach = 1
    while reach < num_cells:  # a running minimum that doubles its range
        least = torch.minimum(least, F.pad(least, (reach, 0), value=1.0)[..., :-reach])
        reach *= 2
    return least


def _count_tolerances(shares: Tensor, *, step: float, count: int) -> Tensor:
    """Return how many of the tolerances `step`, 2 `step`, ... each share reaches."""
    return ((shares + _ROUNDING) / step).floor().clamp_max(count)


def _find_next(ends: Tensor) -> Tensor:
    """Return the first end after each cell, N if there is none: (B, G, N) bool -> (B, G, N) int64."""
    num_cells = ends.shape[-1]
    axis = torch.arange(num_cells, device=ends.device)
    is_later = ends[..., None, :] & (axis[None, :] > axis[:, None])  # (B, G, N, N)
    return torch.where(is_later, axis, num_cells).amin(-1)


def _is_ordered(num_cells: int, device: torch.device) -> Tensor:
    """Return which (first, last) are spans, (N, N) bool."""
    axis = torch.arange(num_cells, device=device)
    return axis[None, :] >= axis[:, None]


class WatershedParams(ReadoutValues):
    """Values of `Watershed`."""

    name: Literal["readout_watershed"]
    step: Annotated[float, Field(ge=0.02, le=0.5)] = 0.05  # between two levels and between two tolerances; the paper's
    level: Annotated[float, Field(ge=0, lt=1)] = 0.5  # of the excess, from the mean (0) to the peak (1)

    def build(self, dims: InputDims) -> Watershed:
        """Return the readout; it has no weights."""
        return Watershed(self, dims)
