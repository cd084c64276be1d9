"""Large `.npy` arrays, written and read part by part so that none has to fit into memory."""

import mmap
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from corpus.files import write_file

_ROWS_PER_RELEASE = 512


def write_arrays(path: Path, arrays: Sequence[NDArray[Any]]) -> None:
    """Write arrays to one file, concatenated along the first axis. No array is copied whole.

    Their shapes may differ only in the length of the first axis.

    Raises:
        OSError: naming the file, for instance when the disk is full.
    """
    shape = (sum(map(len, arrays)), *arrays[0].shape[1:])

    def write(file: BinaryIO) -> None:
        header = {"descr": np.lib.format.dtype_to_descr(arrays[0].dtype), "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        for array in arrays:
            for start in range(0, len(array), _ROWS_PER_RELEASE):
                file.write(np.ascontiguousarray(array[start : start + _ROWS_PER_RELEASE]).data)
                _release(array)

    write_file(path, write)


def map_array(path: Path) -> NDArray[Any]:
    """Return the memory-mapped array of a file; it stays readable after the file is deleted."""
    return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))  # views of a plain array are faster to create


def _release(array: NDArray[Any]) -> None:
    """Let go of the pages of a mapped array that were read."""
    base: Any = array
    while isinstance(base, np.ndarray):
        base = base.base
    if isinstance(base, mmap.mmap):
        base.madvise(mmap.MADV_DONTNEED)
