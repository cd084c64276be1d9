"""Workspace memory that the layers of one call reuse."""

from math import prod

import numpy as np
import torch
from torch import Tensor

PADDING = 32  # elements after each row, because rows a power of two apart would share few cache sets


class Workspace:
    """Named buffers that grow on demand and are released with this object."""

    def __init__(self) -> None:
        """Start without buffers."""
        self._buffers: dict[str, Tensor] = {}

    def take(self, name: str, shape: tuple[int, ...], like: Tensor, *, padding: int = PADDING) -> Tensor:
        """Return uninitialised memory of a shape (rows, ...), contiguous except for `padding` elements after each row.

        It is valid until the next call with the same name.
        """
        columns = prod(shape[1:])
        needed = shape[0] * (columns + padding)
        buffer = self._buffers.get(name)
        if buffer is None or len(buffer) < needed or buffer.dtype != like.dtype:
            self._buffers.pop(name, None)
            buffer = self._buffers[name] = _allocate(needed, like.dtype)
        rows = buffer[:needed].view(shape[0], columns + padding)[:, :columns]
        return rows.view(shape)


def _allocate(size: int, dtype: torch.dtype) -> Tensor:
    """Return uninitialised memory from NumPy, which requests huge pages; mapping a small page costs more than its arithmetic."""
    return torch.from_numpy(np.empty(size, dtype=torch.empty(0, dtype=dtype).numpy().dtype))
