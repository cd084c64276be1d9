"""Collects the localizer's cells of one stream while the clips of a video arrive.

Letters: C cells of a video, P places, D width.
"""

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from typing import BinaryIO

import numpy as np

from corpus.moments import Ints
from corpus.store import Half
from corpus.windows import RangeAverager

CELLS_IN_MEMORY = 512  # 4 MB with the default bundle; the cells of longer videos go to a file


class CellWriter:
    """Averages clips into cells; see `open_writer`."""

    def __init__(self, ranges: Ints, file: BinaryIO | None) -> None:
        """Expect the clips of ranges (C, 2). Cells go to `file`, or stay in memory without one."""
        self._averager = RangeAverager(ranges)
        self._file = file
        self._parts: list[Half] = []
        self._count = 0

    def watch(self, batches: Iterable[Half]) -> Iterator[Half]:
        """Yield the batches of a stream unchanged, and average their clips into cells."""
        for features in batches:
            for mean in self._averager.add(features):
                self._write(np.ascontiguousarray(mean.astype(np.float16)))
            yield features

    def finish(self) -> Half:
        """Return the cells, (C, P, D) float16. Cells in a file are memory-mapped and stay readable after it is closed."""
        if self._file is None:
            return np.stack(self._parts)
        self._file.flush()
        shape = (self._count, *self._parts[0].shape)
        return np.asarray(np.memmap(self._file, dtype=np.float16, mode="r", shape=shape))

    def _write(self, cell: Half) -> None:
        self._count += 1
        if self._file is None:
            self._parts.append(cell)
            return
        self._file.write(cell.data)
        self._parts = [cell]  # only its shape is needed


@contextmanager
def open_writer(ranges: Ints) -> Iterator[CellWriter]:
    """Open a writer of the cells of ranges (C, 2); more than `CELLS_IN_MEMORY` go to an unnamed temporary file."""
    with tempfile.TemporaryFile() if len(ranges) > CELLS_IN_MEMORY else nullcontext() as file:
        yield CellWriter(ranges, file)
