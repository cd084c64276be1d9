"""Maximal subsequences of the similarity curve: the disjoint stretches with the largest sums above a level are answers.

Letters: B rows, N cells, P places, D width, M = N (N + 1) / 2 spans of cells.
"""

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from models.contracts.batches import InputDims
from models.localizers.readouts.similarity import GridReadout, Readings, ReadoutValues, lower


class MaxSubarray(GridReadout):
    """All maximal scoring subsequences of the curve above a level, scored by their sums; level 0 is its mean.

    Source: Ruzzo and Tompa 1999, "A linear time algorithm for finding all maximal scoring subsequences", section 2: the
    first is the maximum subarray (Bentley 1984), the next ones are those of the rest on both sides of it. Deviation: the
    definition is evaluated for all spans of the grid at once; the paper runs through the sequence with a list.
    """

    def __init__(self, params: "MaxSubarrayParams", dims: InputDims) -> None:
        """Build for places and sentences of one width."""
        super().__init__(params, dims)
        self.level = params.level

    def read(self, curve: Tensor, mask: Tensor, places: Tensor) -> Readings:
        """Return the maximal subsequences of the curve less `level` times its peak."""
        centred = lower(curve, mask, level=self.level)
        is_maximal = find_maximal_subsequences(centred, mask)  # (B, N, N)
        return Readings(self.grid.sum_inside(centred), is_maximal[:, self.grid.first, self.grid.last])


def find_maximal_subsequences(values: Tensor, mask: Tensor) -> Tensor:
    """Return which (first, last) are maximal scoring subsequences of the values inside the video: (B, N) -> (B, N, N) bool.

    With totals C before each cell, (first, last) has a larger sum than all its parts (P1 of the paper) when C at its start
    is below, and C at its end above, all totals between. It is maximal when nothing that holds it has P1 (P2).
    """
    totals = F.pad(values.cumsum(1), (1, 0))  # (B, N + 1)
    before, after = totals[:, :, None], totals[:, None, :]  # by start, by end
    axis = torch.arange(totals.shape[1], device=values.device)
    is_later = axis[None, :] > axis[:, None]  # (N + 1, N + 1)
    falls = (after <= before) & is_later  # (B, start, k): the total at k is not above that at the start
    tops = (before >= after) & is_later  # (B, k, end): the total at k is not below that at the end
    has_p1 = (_count_up_to(falls) == 0) & (_count_from(tops.transpose(1, 2)).transpose(1, 2) == 0) & is_later
    has_p1 = has_p1[:, :-1, 1:] & mask[:, None, :]  # (B, N, N), by first and last cell
    holders = _count_from(_count_up_to(has_p1.transpose(1, 2)).transpose(1, 2))  # starts no later, ends no earlier
    return has_p1 & (holders == 1)


def _count_up_to(flags: Tensor) -> Tensor:
    """Return how many flags of the last axis are set up to each place."""
    return flags.float().cumsum(-1)


def _count_from(flags: Tensor) -> Tensor:
    """Return how many flags of the last axis are set from each place on."""
    values = flags.float()
    return values.sum(-1, keepdim=True) - values.cumsum(-1) + values


class MaxSubarrayParams(ReadoutValues):
    """Values of `MaxSubarray`."""

    name: Literal["readout_max_subarray"]
    level: Annotated[float, Field(ge=0, lt=1)] = 0.5  # from the mean (0) to the peak (1); a higher level gives shorter answers

    def build(self, dims: InputDims) -> MaxSubarray:
        """Return the readout; it has no weights."""
        return MaxSubarray(self, dims)
