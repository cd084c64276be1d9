"""Large arrays in `.npy` files: written and read part by part, so that none has to fit into memory."""

import mmap
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from corpus.files import write_file

_ROWS_PER_RELEASE = 16


def write_arrays(path: Path, arrays: Sequence[NDArray[Any]]) -> None:
    """Write arrays that differ in the length of their first axis alone as one, one after the other; none is copied whole.

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
    """Return the array of a file, mapped: it is read as it is needed, also when the file has been deleted."""
    return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))  # views of a plain array are made faster


def _release(array: NDArray[Any]) -> None:
    """Let go of the pages of a mapped array that were read."""
    base: Any = array
    while isinstance(base, np.ndarray):
        base = base.base
    if isinstance(base, mmap.mmap):
        base.madvise(mmap.MADV_DONTNEED)
