"""Maps of moments (start by length) at several temporal scales, and the layers that fill and compare them.

Scale s has a start every 2**s cells and lengths of 1 .. A times 2**s cells. Source: MS-2D-TAN (arXiv:2012.02646) and its
authors' code. Letters: B rows, N cells, H width, S starts and A lengths of one scale.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from corpus.moments import Ints


class Scale(NamedTuple):
    """One map with a step of `unit` cells between starts and between lengths."""

    unit: int
    num_starts: int
    num_lengths: int

    def list_cells(self) -> Ints:
        """Return the moments of the whole map as first and last cell, (S, A, 2); some end after the time axis."""
        first = np.repeat(np.arange(self.num_starts)[:, None], self.num_lengths, axis=1)
        last = first + np.arange(self.num_lengths)
        return np.stack([first * self.unit, (last + 1) * self.unit - 1], axis=-1)

    def find_existing(self) -> Ints:
        """Return the moments that end within the time axis, as indices of the flattened map, start by start."""
        return np.flatnonzero(self.list_cells()[..., 1] < self.num_starts * self.unit)


@lru_cache(maxsize=64)
def plan_scales(num_cells: int, num_lengths: int, num_scales: int) -> tuple[Scale, ...]:
    """Return the maps over N cells, finest first.

    Raises:
        ValueError: when a map would have no start for one of its lengths, or a fractional cell or length.
    """
    coarsest = 2 ** (num_scales - 1)
    if num_scales > 1 and num_lengths % 2:
        raise ValueError(f"half of a scale's lengths come from the scale before: num_lengths={num_lengths} must be even")
    if num_cells % coarsest or num_lengths * coarsest > num_cells:
        raise ValueError(
            f"{num_scales} scales of {num_lengths} lengths need a multiple of {coarsest} cells and at least "
            f"{num_lengths * coarsest}, got {num_cells}; change num_cells, num_lengths or num_scales"
        )
    return tuple(Scale(2**scale, num_cells // 2**scale, num_lengths) for scale in range(num_scales))


def list_moments(scales: Sequence[Scale]) -> Ints:
    """Return the moments within the time axis of all scales as (first, last) cells, (M, 2), scale by scale, start by start."""
    return np.concatenate([scale.list_cells().reshape(-1, 2)[scale.find_existing()] for scale in scales])


def find_same_moments(cells: Ints) -> tuple[Ints, Ints]:
    """Return the distinct moments (U, 2) of cells (M, 2) in order, and their positions, (U, most occurrences).

    A moment with fewer occurrences repeats its first position.
    """
    different, moment = np.unique(cells, axis=0, return_inverse=True)
    places = [np.flatnonzero(moment == index) for index in range(len(different))]
    most = max(len(found) for found in places)
    return different, np.stack([np.pad(found, (0, most - len(found)), constant_values=found[0]) for found in places])


class StableBatchNorm(nn.BatchNorm1d):
    """Batch normalisation that uses the running statistics if a training batch holds only one value per channel."""

    def forward(self, input: Tensor) -> Tensor:
        """Normalise (B, H, length)."""
        if self.training and input.shape[0] * input.shape[2] == 1:
            return F.batch_norm(input, self.running_mean, self.running_var, self.weight, self.bias, training=False, eps=self.eps)
        return super().forward(input)


class MultiScaleProposals(nn.Module):
    """Features of all moments of all scales, computed from cells.

    A layer lengthens the moments of the previous one by one unit of its scale. The first layer of a coarser scale has a kernel
    of 3 and a stride of 2. The lower half of the lengths of a coarser scale comes from the previous scale.
    """

    def __init__(self, scales: Sequence[Scale], hidden_dim: int, kind: Literal["conv", "pool"]) -> None:
        """Build the layers: convolution, batch normalisation and tanh, or max pooling without weights."""
        super().__init__()
        self.scales = tuple(scales)
        counts = [scale.num_lengths if scale.unit == 1 else scale.num_lengths // 2 for scale in scales]
        self.layers = nn.ModuleList(
            nn.ModuleList(_build_layer(hidden_dim, kind, index, depth) for depth in range(count))
            for index, count in enumerate(counts)
        )

    def forward(self, cells: Tensor, inside: Tensor) -> list[Tensor]:
        """Return the maps (B, H, S, A), zero at moments that end after the video: cells (B, H, N), inside (B, N) bool."""
        maps: list[Tensor] = []
        for scale, layers in zip(self.scales, self.layers, strict=True):
            columns = [maps[-1][:, :, ::2, 1::2]] if maps else []
            taken = scale.num_lengths // 2 if maps else 0
            assert isinstance(layers, nn.ModuleList)
            for depth, layer in enumerate(layers):
                cells = layer(cells)  # (B, H, starts of this length)
                last = inside[:, (taken + depth + 1) * scale.unit - 1 :: scale.unit]  # (B, starts of this length)
                cells = cells * last[:, None]
                columns.append(F.pad(cells, (0, scale.num_starts - cells.shape[-1]))[..., None])
            maps.append(torch.cat(columns, dim=-1))
        return maps


def _build_layer(hidden_dim: int, kind: Literal["conv", "pool"], scale: int, depth: int) -> nn.Module:
    entering = scale > 0 and depth == 0
    kernel, stride = (3, 2) if entering else (min(depth + 1, 2) if scale == 0 else 2, 1)
    if kind == "pool":
        return nn.MaxPool1d(kernel, stride)
    return nn.Sequential(nn.Conv1d(hidden_dim, hidden_dim, kernel, stride), StableBatchNorm(hidden_dim), nn.Tanh())


class GatedMapConvolution(nn.Module):
    """Convolution over a map with a gate per place, shared by all channels."""

    def __init__(self, hidden_dim: int, kernel_size: int) -> None:
        """Build both convolutions, which keep the size of the map."""
        super().__init__()
        self.convolution = nn.Conv2d(hidden_dim, hidden_dim, kernel_size, padding=kernel_size // 2)
        self.gate = nn.Conv2d(hidden_dim, 1, kernel_size, padding=kernel_size // 2)

    def forward(self, moments: Tensor) -> Tensor:
        """Return (B, H, S, A) from (B, H, S, A)."""
        return F.relu(self.convolution(moments)) * torch.sigmoid(self.gate(moments))
