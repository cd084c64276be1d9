"""Peaks of the similarity curve with their width at a share of their height, such as the full width at half maximum.

Letters: B rows, N cells, P places, D width.
"""

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from models.contracts.batches import Candidates, InputDims, VideoFeatures
from models.localizers.readouts.similarity import ROUNDING, OddCells, Readout, ReadoutValues, smooth


class PeakWidth(Readout):
    """Every local maximum of a smoother curve is an answer, scored by its height there.

    A peak reaches as far as the curve stays above a share of the peak's own height, which is measured from the curve's mean: a
    share of 0.5 is the full width at half maximum of spectroscopy. So a low peak beside a high one keeps its width, which
    one threshold for the whole curve does not give. Source: own; the seed and its region are those of seeded region
    growing (Adams and Bischof 1994) with one region for each seed.
    """

    def __init__(self, params: "PeakWidthParams", dims: InputDims) -> None:
        """Build for places and sentences of one width."""
        super().__init__(params, dims)
        self.share = params.share
        self.seed_smoothing_cells = params.seed_smoothing_cells

    def find(self, curve: Tensor, video: VideoFeatures) -> Candidates:
        """Return one candidate for each cell, of which those at peaks are valid."""
        heights = smooth(curve, video.mask, num_cells=self.seed_smoothing_cells).masked_fill(~video.mask, 0.0)
        first, last = find_extents(curve, video.mask, share=self.share)
        cell_s = (video.duration_s / video.mask.sum(1).clamp_min(1))[:, None, None]  # (B, 1, 1)
        spans = torch.stack([first, last + 1], dim=-1).to(cell_s.dtype) * cell_s
        return Candidates(spans, heights, find_peaks(heights, video.mask))


def find_peaks(heights: Tensor, mask: Tensor) -> Tensor:
    """Return which cells are local maxima inside the video, of equal neighbours the first: (B, N) -> (B, N) bool.

    Equal are heights that differ by no more than `ROUNDING`: cells of one clip have one height, and torch and ONNX Runtime
    round their moving means differently.
    """
    lowest = torch.finfo(heights.dtype).min
    inside = heights.masked_fill(~mask, lowest)
    is_above_left = inside - ROUNDING > F.pad(inside, (1, 0), value=lowest)[:, :-1]
    return mask & is_above_left & (inside + ROUNDING >= F.pad(inside, (0, 1), value=lowest)[:, 1:])


def find_extents(curve: Tensor, mask: Tensor, *, share: float) -> tuple[Tensor, Tensor]:
    """Return the first and last cell of the region of each cell, (B, N) int64 each.

    A region is the cells around its seed, itself among them, in which the curve is above `share` times its height at the seed.
    """
    num_cells = curve.shape[1]
    axis = torch.arange(num_cells, device=curve.device)
    is_low = (curve[:, None, :] - ROUNDING <= share * curve[:, :, None]) | ~mask[:, None, :]  # (B, seed, cell)
    is_before = axis[None, :] < axis[:, None]
    first = torch.where(is_low & is_before, axis + 1, 0).amax(-1)
    last = torch.where(is_low & is_before.T, axis - 1, num_cells - 1).amin(-1)
    return first, last


class PeakWidthParams(ReadoutValues):
    """Values of `PeakWidth`."""

    name: Literal["readout_peak_width"]
    share: Annotated[float, Field(gt=0, lt=1)] = 0.5  # of a peak's height at which its width is taken
    seed_smoothing_cells: OddCells = 5  # of the moving mean over the curve in which peaks are looked for

    def build(self, dims: InputDims) -> PeakWidth:
        """Return the readout; it has no weights."""
        return PeakWidth(self, dims)
