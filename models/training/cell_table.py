"""Table of the cells of all videos of a split, in memory or, if too large, in a memory-mapped file.

Letters: V videos, B rows, N cells, P places, D width.
"""

import sys
import tempfile
from collections.abc import Iterable
from itertools import chain

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from corpus.store import Half

UNHELD = 2  # `sys.getrefcount` of an array that only its list references
MEMORY_BYTES = 4 * 2**30  # a larger table lies in a temporary file; the system caches the parts that are read


def build_table(cells: Iterable[Half], num_videos: int) -> Tensor:
    """Return the cells of all videos, (V, N, P, D) float16. Each is read once and stored once.

    Raises:
        ValueError: when the number of videos differs from `num_videos`.
    """
    videos = iter(cells)
    first = next(videos, None)
    if first is None:
        raise ValueError("a table of cells needs at least one video, got none")
    table = _allocate((num_videos, *first.shape))
    count = 0
    for video in chain([first], videos):
        if count < num_videos:
            table[count] = video
        count += 1
    if count != num_videos:
        raise ValueError(f"expected the cells of {num_videos} videos, got {count}")
    return torch.from_numpy(table)


class BatchMemory:
    """Pool of memory for batches, reused once unreferenced, because fresh pages cost more than writing to them."""

    def __init__(self) -> None:
        """Start with an empty pool."""
        self._arrays: list[NDArray[np.float32]] = []

    def gather(self, table: Tensor, rows: Tensor) -> Tensor:
        """Return the cells of some videos, (B, N, P, D) float32, from a table (V, N, P, D)."""
        found = self._take((len(rows), *table.shape[1:]))
        for target, row in zip(found, rows.tolist(), strict=True):
            target.copy_(table[row])
        return found

    def _take(self, shape: tuple[int, ...]) -> Tensor:
        """Return uninitialised memory. A tensor, and all that shares its storage, holds a reference to its array."""
        free = [index for index in range(len(self._arrays)) if sys.getrefcount(self._arrays[index]) <= UNHELD]
        fitting = [index for index in free if self._arrays[index].shape[1:] == shape[1:] and len(self._arrays[index]) >= shape[0]]
        if not fitting:
            self._arrays = [array for index, array in enumerate(self._arrays) if index not in free]
            self._arrays.append(np.empty(shape, dtype=np.float32))
            fitting = [len(self._arrays) - 1]
        return torch.from_numpy(self._arrays[fitting[0]])[: shape[0]]


def _allocate(shape: tuple[int, ...]) -> NDArray[np.float16]:
    if np.prod(shape, dtype=np.float64) * 2 <= MEMORY_BYTES:
        return np.empty(shape, dtype=np.float16)
    with tempfile.TemporaryFile() as file:  # the map keeps the file alive
        return np.memmap(file, dtype=np.float16, mode="w+", shape=shape)
