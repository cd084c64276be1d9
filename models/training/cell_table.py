"""The cells of all videos of a split as one table, in memory or, where it would take too much of that, in a file.

Letters: V videos, B rows, N cells, P places, D width.
"""

import tempfile
from collections.abc import Iterable
from itertools import chain

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from corpus.store import Half

MEMORY_BYTES = 4 * 2**30  # a larger table lies in a temporary file, of which the system keeps in memory what is read


def build_table(cells: Iterable[Half], num_videos: int) -> Tensor:
    """Return the videos' cells, (V, N, P, D) float16, each read once and held once.

    Raises:
        ValueError: when there are more or fewer videos than were expected.
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


def gather(table: Tensor, rows: Tensor) -> Tensor:
    """Return the cells of some videos, (B, N, P, D) float32.

    NumPy gives the memory, because it asks for huge pages: with small ones, the pages of a batch cost more than its bytes.
    """
    shape = (len(rows), *table.shape[1:])
    halves = torch.index_select(table, 0, rows, out=torch.from_numpy(np.empty(shape, dtype=np.float16)))
    return torch.from_numpy(np.empty(shape, dtype=np.float32)).copy_(halves)


def _allocate(shape: tuple[int, ...]) -> NDArray[np.float16]:
    if np.prod(shape, dtype=np.float64) * 2 <= MEMORY_BYTES:
        return np.empty(shape, dtype=np.float16)
    with tempfile.TemporaryFile() as file:  # the map keeps it until it is let go
        return np.memmap(file, dtype=np.float16, mode="w+", shape=shape)
