"""Proposal features: computes candidate moments from the cells of a video, diagonal by diagonal of the map.

Source: 2D-TAN (arXiv:1912.03590), section 3.2, with max pooling or stacked convolutions.
Letters: B rows, H width, N cells, M candidates in the order of `candidate_map.list_candidates`.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.layers.candidate_map import ProposalLayer, list_candidates, plan_proposals


class Proposals(nn.Module, ABC):
    """Runs the layers of a plan in order and gathers their outputs."""

    def __init__(self, scale_layers: Sequence[int]) -> None:
        """Store how many layers each scale has."""
        super().__init__()
        self.scale_layers = tuple(scale_layers)

    def forward(self, cells: Tensor) -> Tensor:
        """Return the features of the candidates: (B, H, N) -> (B, M, H)."""
        num_cells = cells.shape[-1]
        outputs: list[Tensor] = []
        for layer in plan_proposals(num_cells, self.scale_layers):
            cells = self.extend(cells, layer)
            outputs += [cells] if layer.num_outputs else []
        order = torch.from_numpy(list_candidates(num_cells, self.scale_layers)[1]).to(cells.device)
        return torch.cat(outputs, dim=-1).transpose(1, 2)[:, order]

    @abstractmethod
    def extend(self, cells: Tensor, layer: ProposalLayer) -> Tensor:
        """Return the features of the next longer moments: (B, H, length) -> (B, H, shorter)."""


class PoolProposals(Proposals):
    """Max pooling over all cells of a moment, without weights."""

    def extend(self, cells: Tensor, layer: ProposalLayer) -> Tensor:
        """Pool; moments longer than the video are left out."""
        return F.max_pool1d(cells, layer.kernel, layer.step) if layer.runs else cells


class ConvProposals(Proposals):
    """Stacked convolutions without non-linearities, one per layer."""

    def __init__(self, scale_layers: Sequence[int], hidden_dim: int) -> None:
        """Build the convolutions; the kernel of a scale's first layer is 1 in the first scale and 3 in later ones."""
        super().__init__(scale_layers)
        self.layers = nn.ModuleList(
            nn.ModuleList(_build_convolution(hidden_dim, scale, depth) for depth in range(num_layers))
            for scale, num_layers in enumerate(self.scale_layers)
        )

    def extend(self, cells: Tensor, layer: ProposalLayer) -> Tensor:
        """Convolve.

        Raises:
            ValueError: when the video has fewer cells than the layers need.
        """
        if not layer.runs:
            raise ValueError(
                f"convolved proposals with scale_layers={self.scale_layers} need longer videos: layer {layer.depth} of scale "
                f"{layer.scale} has a kernel of {layer.kernel} and {cells.shape[-1]} inputs; use more clips or max pooling"
            )
        features: Tensor = self.layers.get_submodule(f"{layer.scale}.{layer.depth}")(cells)
        return features


def _build_convolution(hidden_dim: int, scale: int, depth: int) -> nn.Conv1d:
    if depth:
        return nn.Conv1d(hidden_dim, hidden_dim, 2)
    return nn.Conv1d(hidden_dim, hidden_dim, 1) if scale == 0 else nn.Conv1d(hidden_dim, hidden_dim, 3, stride=2)
