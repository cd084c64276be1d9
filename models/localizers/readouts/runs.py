"""Runs of equal cells as spans of the dense grid. Letters: B rows, N cells, M = N (N + 1) / 2 spans of cells."""

from torch import Tensor
from torch.nn import functional as F

from models.layers.dense_grid import DenseGrid


def find_run_starts(flags: Tensor) -> Tensor:
    """Return at which cells runs of set flags start: (..., N) bool -> (..., N) bool."""
    return flags & ~F.pad(flags, (1, 0))[..., :-1]


def find_run_ends(flags: Tensor) -> Tensor:
    """Return the last cells of runs of set flags: (..., N) bool -> (..., N) bool."""
    return flags & ~F.pad(flags, (0, 1))[..., 1:]


def find_runs(grid: DenseGrid, flags: Tensor) -> Tensor:
    """Return which spans are whole runs of set flags: (B, N) bool -> (B, M) bool."""
    starts, ends = find_run_starts(flags), find_run_ends(flags)
    is_full = grid.sum_inside(flags.float()) > grid.lengths - 0.5  # counts of cells
    return starts[:, grid.first] & ends[:, grid.last] & is_full
