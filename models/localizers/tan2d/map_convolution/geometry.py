"""Geometry of map convolutions: the cells that each layer must compute, and the valid-cell counts that divide its results.

Letters: N cells of the time axis, M candidates, K kernel, L layers, r = (K - 1) / 2 its reach.

The authors pad the first layer for all L layers, so the map grows to N + 2 r (L - 1) and shrinks back to N. Each result is
divided by the number of valid cells under the kernel, or is zero without any; the valid region grows by r with every layer.
After layer l, cells further than r l from a candidate are therefore zero, and cells further than r (L - l) reach no
candidate. Only cells within min(r l, r (L - l)) of a candidate are needed.
"""

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from corpus.moments import Ints
from models.layers.candidate_map import list_candidates

Flags = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class CellSet:
    """A set of cells of a canvas that extends `margin` cells beyond the map on each side."""

    needed: Flags  # (N + 2 margin, N + 2 margin)
    margin: int

    @cached_property
    def cells(self) -> Ints:
        """The cells (row, column) of the map, (S, 2), row after row; negative ones lie before the map."""
        return np.argwhere(self.needed) - self.margin

    @cached_property
    def index(self) -> Ints:
        """The index of each canvas cell in `cells`; S if it is not in the set."""
        index = np.full(self.needed.shape, len(self.cells))
        index[self.needed] = np.arange(len(self.cells))
        return index

    def find(self, rows: Ints, columns: Ints) -> Ints:
        """Return the indices of map cells in `cells`; S for cells outside the set."""
        rows, columns = np.broadcast_arrays(rows + self.margin, columns + self.margin)
        size = len(self.needed)
        inside = (rows >= 0) & (rows < size) & (columns >= 0) & (columns < size)
        found = np.full(rows.shape, len(self.cells))
        found[inside] = self.index[rows[inside], columns[inside]]
        return found


@dataclass(frozen=True, eq=False)
class MapGeometry:
    """The cells before the first layer and after each layer, with the divisors for a map of only valid candidates."""

    num_cells: int
    kernel_size: int
    sets: tuple[CellSet, ...]  # L + 1; the first and the last hold the candidates
    counts: tuple[Ints, ...]  # L arrays (S of the layer,): number of valid cells under the kernel, at least 1

    @property
    def num_layers(self) -> int:
        """The number of layers L."""
        return len(self.counts)

    @property
    def paddings(self) -> tuple[int, ...]:
        """The padding of each layer with which a plain convolution computes exactly the canvases of `sets`."""
        reach = (self.kernel_size - 1) // 2
        margins = [cells.margin for cells in self.sets]
        return tuple(reach + after - before for before, after in zip(margins, margins[1:], strict=False))


@lru_cache(maxsize=32)
def build_geometry(num_cells: int, scale_layers: tuple[int, ...], kernel_size: int, num_layers: int) -> MapGeometry:
    """Return the geometry of a stack of convolutions with odd kernels over the candidates of a map."""
    reach = (kernel_size - 1) // 2
    valid = np.zeros((num_cells, num_cells), dtype=bool)
    valid[tuple(list_candidates(num_cells, scale_layers)[0].T)] = True
    margins = [reach * min(layer, num_layers - layer) for layer in range(num_layers + 1)]
    sets = tuple(CellSet(dilate(np.pad(valid, margin), margin), margin) for margin in margins)
    counts = []
    for layer in range(1, num_layers + 1):
        grown = dilate(np.pad(valid, reach * (layer + 1)), reach * (layer - 1))
        below = sum_windows(grown, kernel_size)  # on the map extended by r l
        rows, columns = (sets[layer].cells + reach * layer).T
        counts.append(below[rows, columns])
    return MapGeometry(num_cells, kernel_size, sets, tuple(counts))


def dilate(flags: Flags, distance: int) -> Flags:
    """Return the cells within `distance` of a flagged one along both axes; the canvas keeps its size."""
    grown: Flags = sum_windows(np.pad(flags, distance), 2 * distance + 1) > 0
    return grown


def sum_windows(flags: Flags, size: int) -> Ints:
    """Return the sums over all windows of `size` x `size` cells on the canvas."""
    totals = np.pad(flags.astype(np.int64).cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    sums: Ints = totals[size:, size:] - totals[:-size, size:] - totals[size:, :-size] + totals[:-size, :-size]
    return sums
