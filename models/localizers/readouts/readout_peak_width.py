"""Peaks of the similarity curve with their width at a share of their height, such as the full width at half maximum.

Letters: B rows, N cells, P places, D width.
"""

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from models.contracts.batches import Candidates, InputDims, VideoFeatures
from models.localizers.readouts.similarity import OddCells, Readout, ReadoutValues, smooth


class PeakWidth(Readout):
    """Every local maximum of a smoother curve is an answer, scored by its height there.

    A peak extends as far as the curve stays above a share of the peak's height over the curve's mean. A share of 0.5 gives the
    full width at half maximum of spectroscopy. A low peak beside a high peak keeps its width, unlike with one threshold for
    the whole curve. Source: own; seeds and regions follow seeded region growing (Adams and Bischof 1994), with one region a
    seed.
    """

    def __init__(self, params: "PeakWidthParams", dims: InputDims) -> None:
        """Build for places and sentences of one width."""
        super().__init__(params, dims)
        self.share = params.share
        self.seed_smoothing_cells = params.seed_smoothing_cells

    def find(self, curve: Tensor, video: VideoFeatures) -> Candidates:
        """Return one candidate a cell; only candidates at peaks are valid."""
        heights = smooth(curve, video.mask, num_cells=self.seed_smoothing_cells).masked_fill(~video.mask, 0.0)
        first, last = find_extents(curve, video.mask, share=self.share)
        cell_s = (video.duration_s / video.mask.sum(1).clamp_min(1))[:, None, None]  # (B, 1, 1)
        spans = torch.stack([first, last + 1], dim=-1).to(cell_s.dtype) * cell_s
        return Candidates(spans, heights, find_peaks(heights, video.mask))


def find_peaks(heights: Tensor, mask: Tensor) -> Tensor:
    """Return which cells are local maxima inside the video, of equal neighbours the first: (B, N) -> (B, N) bool."""
    lowest = torch.finfo(heights.dtype).min
    inside = heights.masked_fill(~mask, lowest)
    is_above_left = inside > F.pad(inside, (1, 0), value=lowest)[:, :-1]
    return mask & is_above_left & (inside >= F.pad(inside, (0, 1), value=lowest)[:, 1:])


def find_extents(curve: Tensor, mask: Tensor, *, share: float) -> tuple[Tensor, Tensor]:
    """Return the first and last cell of the region of each cell, (B, N) int64 each.

    A region holds its seed and the adjacent cells in which the curve is above `share` times its height at the seed.
    """
    num_cells = curve.shape[1]
    axis = torch.arange(num_cells, device=curve.device)
    is_low = (curve[:, None, :] <= share * curve[:, :, None]) | ~mask[:, None, :]  # (B, seed, cell)
    is_before = axis[None, :] < axis[:, None]
    first = torch.where(is_low & is_before, axis + 1, 0).amax(-1)
    last = torch.where(is_low & is_before.T, axis - 1, num_cells - 1).amin(-1)
    return first, last


class PeakWidthParams(ReadoutValues):
    """Values of `PeakWidth`."""

    name: Literal["readout_peak_width"]
    share: Annotated[float, Field(gt=0, lt=1)] = 0.5  # of a peak's height; its width is measured there
    seed_smoothing_cells: OddCells = 5  # of the moving mean that smooths the curve before the search for peaks

    def build(self, dims: InputDims) -> PeakWidth:
        """Return the readout; it has no weights."""
        return PeakWidth(self, dims)
