"""Dense grid of candidate spans as tensors. Letters: B rows, N cells of the time axis, M = N (N + 1) / 2 spans of cells."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from corpus.moments import build_dense_cells


class DenseGrid(nn.Module):
    """All spans (first, last) of N cells, ordered by first, then last, as in `corpus.moments.build_dense_cells`."""

    first: Tensor
    last: Tensor

    def __init__(self, num_cells: int) -> None:
        """Build the index tensors, which are not weights."""
        super().__init__()
        self.num_cells = num_cells
        cells = torch.from_numpy(build_dense_cells(num_cells))
        self.register_buffer("first", cells[:, 0].contiguous(), persistent=False)  # (M,)
        self.register_buffer("last", cells[:, 1].contiguous(), persistent=False)  # (M,)

    def __len__(self) -> int:
        """The number of spans M."""
        return len(self.first)

    @property
    def lengths(self) -> Tensor:
        """The number of cells of each span, (M,)."""
        return self.last - self.first + 1

    def sum_inside(self, cells: Tensor) -> Tensor:
        """Return the sum over the cells of each span: (B, N) -> (B, M)."""
        totals = F.pad(cells.cumsum(1), (1, 0))  # (B, N + 1)
        return totals[:, self.last + 1] - totals[:, self.first]

    def compute_spans(self, mask: Tensor, duration_s: Tensor) -> Tensor:
        """Return the spans in seconds, (B, M, 2). The cells inside a video, `mask` (B, N) bool, cover `duration_s` (B,)."""
        edges = torch.stack([self.first, self.last + 1], dim=-1).to(duration_s.dtype)  # (M, 2)
        cell_s = duration_s / mask.sum(1).clamp_min(1)  # (B,)
        return edges * cell_s[:, None, None]

    def find_valid(self, mask: Tensor) -> Tensor:
        """Return the mask of spans that end inside the video: (B, N) bool -> (B, M) bool."""
        return mask[:, self.last]
