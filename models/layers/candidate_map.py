"""Candidate cells of a moment map, and the proposal layers that fill them.

A cell (first, last) of a map over N equal parts of a video stands for the moment from part `first` to the end of part
`last`. Source: 2D-TAN (arXiv:1912.03590), section 3.2 and figure 3, and the authors' rule of sparse candidates.
Letters: B rows, N cells of the time axis, M candidates.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from corpus.moments import Ints


class ProposalLayer(NamedTuple):
    """One layer along time. Its outputs are the candidates (first, first + offset) for every `stride`-th first cell."""

    scale: int
    depth: int  # of the layer in its scale, from 0
    kernel: int
    step: int  # stride of the layer itself
    runs: bool  # whether its input is long enough; otherwise the layer gives no candidates
    offset: int
    stride: int
    num_outputs: int

    def list_cells(self) -> Ints:
        """Return the layer's candidates (first, last), (num_outputs, 2), in the order of its outputs."""
        first = np.arange(self.num_outputs) * self.stride
        return np.stack([first, first + self.offset], axis=1)


@lru_cache(maxsize=64)
def plan_proposals(num_cells: int, scale_layers: tuple[int, ...]) -> tuple[ProposalLayer, ...]:
    """Return the layers that fill a map of N cells, scale after scale; `scale_layers` counts the layers of each scale.

    Every layer lengthens the moments of the previous one: by one cell of the scale, or by a kernel of 3 with stride 2 at the
    start of a scale. One length is left out between two scales, as in the authors' code: with (16, 8, 8) the offsets are
    0..15, then 17, 19, .. 31 with starts 2 apart, then 35, 39, .. 63 with starts 4 apart.

    Raises:
        ValueError: when the number of outputs of a layer would differ from its candidates, for this number of cells.
    """
    plan: list[ProposalLayer] = []
    length, before, stride = num_cells, 0, 1
    for scale, num_layers in enumerate(scale_layers):
        entering = 1 if scale == 0 else 2
        stride *= entering
        longest = length // entering
        for depth in range(num_layers):
            kernel, step = (2, 1) if depth else (2 * entering - 1, entering)
            runs = length >= kernel
            length = (length - kernel) // step + 1 if runs else length
            offset = before + depth * stride
            count = max(longest - depth, 0)
            if count != len(range(0, num_cells - offset, stride)) or length != max(count, 1):
                raise ValueError(
                    f"a map of {num_cells} cells cannot have scale_layers={scale_layers}: layer {depth} of scale {scale} gives "
                    f"{length} outputs for moments of {offset + 1} cells; lengthen the time axis or use fewer layers"
                )
            plan.append(ProposalLayer(scale, depth, kernel, step, runs, offset, stride, count))
        before += stride * (num_layers + 1)
    return tuple(plan)


@lru_cache(maxsize=64)
def list_candidates(num_cells: int, scale_layers: tuple[int, ...]) -> tuple[Ints, Ints]:
    """Return the candidates (first, last), (M, 2), ordered by first, then last, and their positions in the plan's outputs."""
    cells = np.concatenate([layer.list_cells() for layer in plan_proposals(num_cells, scale_layers)])
    order = np.lexsort((cells[:, 1], cells[:, 0]))
    return cells[order], order


class SpanGrid(nn.Module):
    """Candidates of a map as index tensors (not weights), and their spans in seconds."""

    first: Tensor
    last: Tensor

    def __init__(self, cells: Ints, *, num_cells: int, clips_per_cell: int = 1) -> None:
        """Store candidates (first, last), (M, 2), of a map over N cells that are `clips_per_cell` clips long each."""
        super().__init__()
        self.num_cells = num_cells
        self.clips_per_cell = clips_per_cell
        self.register_buffer("first", torch.from_numpy(cells[:, 0].copy()), persistent=False)  # (M,)
        self.register_buffer("last", torch.from_numpy(cells[:, 1].copy()), persistent=False)  # (M,)

    def __len__(self) -> int:
        """The number of candidates M."""
        return len(self.first)

    def find_cells(self, mask: Tensor) -> Tensor:
        """Return the mask of cells with a clip of the video: clips (B, N * clips_per_cell) bool -> (B, N) bool."""
        return mask.reshape(-1, self.num_cells, self.clips_per_cell).any(-1)

    def find_valid(self, mask: Tensor) -> Tensor:
        """Return the mask of candidates that end inside the video: clips (B, N * clips_per_cell) bool -> (B, M) bool."""
        return self.find_cells(mask)[:, self.last]

    def compute_spans(self, mask: Tensor, duration_s: Tensor) -> Tensor:
        """Return the spans in seconds, (B, M, 2). The clips inside a video, `mask` (B, clips) bool, cover `duration_s` (B,).

        A candidate whose last cell is only partly inside ends with the video.
        """
        edges = torch.stack([self.first, self.last + 1], dim=-1).to(duration_s.dtype)  # (M, 2)
        cell_s = duration_s * self.clips_per_cell / mask.sum(1).clamp_min(1)  # (B,)
        spans = edges * cell_s[:, None, None]
        inside = spans[..., :1] < duration_s[:, None, None]
        return torch.where(inside, torch.minimum(spans, duration_s[:, None, None]), spans)


class CandidateGrid(SpanGrid):
    """The candidates of 2D-TAN's map, in the order of `list_candidates`."""

    def __init__(self, num_cells: int, scale_layers: Sequence[int], *, clips_per_cell: int = 1) -> None:
        """List the candidates of a map whose cells are `clips_per_cell` clips long each."""
        cells, _ = list_candidates(num_cells, tuple(scale_layers))
        super().__init__(cells, num_cells=num_cells, clips_per_cell=clips_per_cell)
