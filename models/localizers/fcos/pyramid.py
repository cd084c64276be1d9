"""Feature pyramid along time. Letters: B rows, C channels, N cells, L levels of N / 2^l cells."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class TemporalPyramid(nn.Module):
    """Pyramid whose levels halve the cells: bottom-up by strided convolutions, top-down by addition.

    Source: Lin et al. 2017 (arXiv:1612.03144), section 3, along time. Deviation: without a deep backbone, each bottom-up level
    comes from one convolution of stride 2 with a ReLU.
    """

    def __init__(self, channels: int, num_levels: int) -> None:
        """Build the layers; a single level has only a lateral and an output convolution."""
        super().__init__()
        self.shrink = nn.ModuleList(nn.Conv1d(channels, channels, 3, stride=2, padding=1) for _ in range(num_levels - 1))
        self.lateral = nn.ModuleList(nn.Conv1d(channels, channels, 1) for _ in range(num_levels))
        self.output = nn.ModuleList(nn.Conv1d(channels, channels, 3, padding=1) for _ in range(num_levels))

    def forward(self, cells: Tensor, masks: Sequence[Tensor]) -> list[Tensor]:
        """Return the levels (B, C, N / 2^l) of cells (B, C, N); `masks` (B, N / 2^l) mark cells inside the video."""
        bottom_up = [cells * masks[0][:, None]]
        for shrink, mask in zip(self.shrink, masks[1:], strict=True):
            bottom_up.append(F.relu(shrink(bottom_up[-1])) * mask[:, None])
        merged = self.merge(bottom_up)
        return [output(level * mask[:, None]) for output, level, mask in zip(self.output, merged, masks, strict=True)]

    def merge(self, levels: Sequence[Tensor]) -> list[Tensor]:
        """Add to the lateral of each level (B, C, N / 2^l) the level above, repeating every value for two cells."""
        laterals = [lateral(level) for lateral, level in zip(self.lateral, levels, strict=True)]
        merged = [laterals[-1]]
        for lateral in reversed(laterals[:-1]):
            merged.append(lateral + merged[-1].repeat_interleave(2, dim=-1))
        return merged[::-1]


def halve_masks(mask: Tensor, num_levels: int) -> list[Tensor]:
    """Return the masks of level cells that contain a cell inside the video: (B, N) bool -> L times (B, N / 2^l) bool."""
    batch, num_cells = mask.shape
    return [mask.reshape(batch, num_cells >> level, 1 << level).any(-1) for level in range(num_levels)]


class PointGrid(nn.Module):
    """The M centres of the cells of all levels, in units of the lowest level, as tensors (not weights)."""

    centre: Tensor
    stride: Tensor
    reach: Tensor

    def __init__(self, num_cells: int, num_levels: int, *, reach: float) -> None:
        """List the points level after level. Level l regresses distances up to `reach` 2^l cells, the last level any distance.

        Raises:
            ValueError: when the cells cannot be halved this often.
        """
        super().__init__()
        if num_cells % (1 << (num_levels - 1)):
            raise ValueError(
                f"{num_levels} levels halve the cells {num_levels - 1} times, which num_cells={num_cells} does not allow"
            )
        stride = torch.cat([torch.full((num_cells >> level,), float(1 << level)) for level in range(num_levels)])
        first = torch.cat([torch.arange(num_cells >> level) for level in range(num_levels)])
        lower = torch.where(stride == 1, 0.0, reach * stride / 2)
        upper = torch.where(stride == stride.max(), float("inf"), reach * stride)
        self.register_buffer("centre", (first + 0.5) * stride, persistent=False)  # (M,)
        self.register_buffer("stride", stride, persistent=False)  # (M,)
        self.register_buffer("reach", torch.stack([lower, upper], dim=-1), persistent=False)  # (M, 2)

    def find_valid(self, mask: Tensor) -> Tensor:
        """Return the mask of points inside the videos: cells inside (B, N) bool -> (B, M) bool."""
        return self.centre < mask.sum(1, keepdim=True)
