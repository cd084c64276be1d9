"""Layout of tiles: few squares of T x T cells that cover every needed cell, and the input cells of each tile.

Letters: S cells of a set, Q tiles, T outputs and P inputs of a tile along a side.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from corpus.moments import Ints
from models.localizers.tan2d.map_convolution.geometry import CellSet, build_geometry


class TileLayout(NamedTuple):
    """Index tensors; S_in and S_out point to a row of zeros after the cells."""

    inputs: Tensor  # (P * P, Q), index of the cell before the layer for each input of a tile, or S_in
    outputs: Tensor  # (T * T, Q), index of the cell after the layer for each output of a tile, or S_out


@lru_cache(maxsize=128)
def lay_out(
    num_cells: int, scale_layers: tuple[int, ...], kernel_size: int, num_layers: int, *, layer: int, tile_size: int
) -> TileLayout:
    """Return the tiles of one layer (from 0) of a stack."""
    geometry = build_geometry(num_cells, scale_layers, kernel_size, num_layers)
    before, after = geometry.sets[layer], geometry.sets[layer + 1]
    corners = cover(after.cells, tile_size)  # (Q, 2)
    reach = (kernel_size - 1) // 2
    inputs = _find_square(before, corners - reach, tile_size + kernel_size - 1)
    outputs = _find_square(after, corners, tile_size)
    return TileLayout(torch.from_numpy(inputs), torch.from_numpy(outputs))


@lru_cache(maxsize=512)
def count_tiles(cells: CellSet, tile_size: int) -> int:
    """Return the number of tiles that cover all cells of a set."""
    return len(cover(cells.cells, tile_size))


def cover(cells: Ints, tile_size: int) -> Ints:
    """Return the first (row, column) of disjoint tiles that cover all cells (S, 2): (Q, 2).

    Rows are cut into bands of T; in each band, a tile begins at the first uncovered cell. Of the T possible cuts, the one with
    the fewest tiles is taken.
    """
    choices = [_cover_bands(cells, tile_size, shift) for shift in range(tile_size)]
    return min(choices, key=len)


def _cover_bands(cells: Ints, tile_size: int, shift: int) -> Ints:
    bands = (cells[:, 0] + shift) // tile_size
    corners = []
    for band in np.unique(bands):
        columns = np.unique(cells[bands == band, 1])
        while len(columns):
            corners.append((band * tile_size - shift, columns[0]))
            columns = columns[columns >= columns[0] + tile_size]
    return np.array(corners, dtype=np.int64).reshape(-1, 2)


def _find_square(cells: CellSet, corners: Ints, size: int) -> Ints:
    """Return the indices of the cells in the squares of `size` x `size`: (size * size, Q)."""
    rows = corners[:, 0] + np.arange(size)[:, None, None]
    columns = corners[:, 1] + np.arange(size)[None, :, None]
    return cells.find(rows, columns).reshape(size * size, len(corners))
