"""Shots as moments: the video is cut where neighbouring cells differ, and the shots are ranked by mean similarity.

Letters: B rows, N cells, P places, D width, M = N (N + 1) / 2 spans of cells.
"""

from typing import Literal

from pydantic import NonNegativeFloat, PositiveInt
from torch import Tensor
from torch.nn import functional as F

from models.contracts.batches import InputDims
from models.localizers.readouts.similarity import GridReadout, Readings, ReadoutValues


class Shots(GridReadout):
    """Every shot is an answer; its score is the mean similarity of its cells.

    Source: Diwan et al. 2022 (arXiv:2211.02178), whose shots come from a detector of shot transitions and are scored by
    CLIP. Deviation: a cut lies where the cosine distance of neighbouring cells (the means of their places) is above
    `min_distance` and the largest within `min_cells` cells; the first of equal distances counts.
    """

    def __init__(self, params: "ShotsParams", dims: InputDims) -> None:
        """Build for places and sentences of one width."""
        super().__init__(params, dims)
        self.min_distance = params.min_distance
        self.min_cells = params.min_cells

    def read(self, curve: Tensor, mask: Tensor, places: Tensor) -> Readings:
        """Return the shots."""
        cuts = find_cuts(places, mask, min_distance=self.min_distance, min_cells=self.min_cells)  # (B, N)
        edges = F.pad(cuts | ~mask, (0, 1), value=True)  # (B, N + 1), whether a shot may begin, or has ended, before each cell
        inner = self.grid.sum_inside(edges[:, :-1].float()) - edges[:, self.grid.first].float()  # cuts behind the first cell
        is_shot = edges[:, self.grid.first] & edges[:, self.grid.last + 1] & (inner < 0.5)
        return Readings(self.grid.sum_inside(curve) / self.grid.lengths, is_shot)


def find_cuts(places: Tensor, mask: Tensor, *, min_distance: float, min_cells: int) -> Tensor:
    """Return the cells before which the video is cut, always with the first: (B, N, P, D), (B, N) bool -> (B, N) bool."""
    cells = places.mean(dim=2)  # (B, N, D)
    distances = 1 - F.cosine_similarity(cells[:, :-1], cells[:, 1:], dim=-1)
    distances = F.pad(distances, (1, 0), value=-1.0).masked_fill(~mask, -1.0)  # (B, N)
    is_cut = distances > min_distance
    for step in range(1, min_cells):
        is_cut = is_cut & (distances > F.pad(distances, (step, 0), value=-1.0)[:, :-step])
        is_cut = is_cut & (distances >= F.pad(distances, (0, step), value=-1.0)[:, step:])
    return F.pad(is_cut[:, 1:], (1, 0), value=True)


class ShotsParams(ReadoutValues):
    """Values of `Shots`."""

    name: Literal["readout_shots"]
    min_distance: NonNegativeFloat = 0.45  # 1 - cosine of neighbouring cells at a cut
    min_cells: PositiveInt = 2  # between two cuts

    def build(self, dims: InputDims) -> Shots:
        """Return the readout; it has no weights."""
        return Shots(self, dims)
