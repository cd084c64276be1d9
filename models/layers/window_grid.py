"""Window grid: candidate moments as windows of chosen lengths over the cells of a video, and means over their cells.

Letters: B rows, N cells of the time axis, M windows, C channels.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from corpus.moments import Ints, build_dense_cells
from models.layers.candidate_map import SpanGrid

STRIDE_SHARE = 0.3  # of the window length, between the starts of two windows


class WindowGrid(SpanGrid):
    """Windows of some lengths, or every span, as candidates. A video shorter than every window is its own only candidate.

    Source: the sliding windows of Escorcia et al. 2019 (arXiv:1907.12763), whose starts are max(round(0.3 length), 1) clips
    apart. Deviation: lengths are in cells, which are fractions of a video; theirs are in clips of some seconds.
    """

    inside: Tensor

    def __init__(self, num_cells: int, lengths: Sequence[int] = ()) -> None:
        """List the windows of these lengths in cells, by first, then last cell; without lengths, all N (N + 1) / 2 spans."""
        cells = list_windows(num_cells, lengths)
        super().__init__(cells, num_cells=num_cells)
        axis = np.arange(num_cells)
        inside = (axis >= cells[:, :1]) & (axis <= cells[:, 1:])
        self.register_buffer("inside", torch.from_numpy(inside).float(), persistent=False)  # (M, N)
        self._shortest_end = int((cells[:, 1] - cells[:, 0]).min())  # last cell of the shortest window that starts at 0

    def find_valid(self, mask: Tensor) -> Tensor:
        """Return the mask of candidate windows, (B, M) bool, for videos with cells inside, (B, N) bool."""
        whole = (self.first == 0) & (self.last == self._shortest_end)  # one window, cut to a shorter video
        return super().find_valid(mask) | (whole & mask[:, :1])

    def average(self, cells: Tensor, mask: Tensor) -> Tensor:
        """Return the mean over the cells of each window inside the video: (B, N, C), (B, N) -> (B, M, C)."""
        inside = mask.to(cells.dtype)  # (B, N)
        counts = (inside @ self.inside.T).clamp_min(1)  # (B, M)
        means: Tensor = self.inside @ (cells * inside[..., None]) / counts[..., None]
        return means


def list_windows(num_cells: int, lengths: Sequence[int]) -> Ints:
    """Return the windows (first, last), (M, 2), by first, then last cell; without lengths, every span.

    Raises:
        ValueError: when a length is longer than the axis, or given twice.
    """
    if not lengths:
        return build_dense_cells(num_cells)
    if max(lengths) > num_cells or len(set(lengths)) < len(lengths):
        raise ValueError(f"windows have different lengths of at most {num_cells} cells, got {tuple(lengths)}")
    strides = {length: max(round(STRIDE_SHARE * length), 1) for length in lengths}
    windows = [(first, first + length - 1) for length in lengths for first in range(0, num_cells - length + 1, strides[length])]
    return np.array(sorted(windows), dtype=np.int64)
