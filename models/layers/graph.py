"""Neck over the cells of a video: none, or graph convolutions over neighbours in time and in feature space.

Letters: B rows, N cells, C channels, K neighbours.
"""

from typing import Annotated, Literal

import torch
from pydantic import Field, PositiveInt
from torch import Tensor, nn
from torch.nn import functional as F

from corpus.params import Params

Normalisation = Literal["symmetric", "row"]
TIE = 1e-5  # cosines this close count as equal, so that rounding never decides about neighbours


class GraphConvolution(nn.Module):
    """X + relu(A LayerNorm(X) W + b) with a normalised adjacency A.

    Source: Kipf and Welling 2017 (arXiv:1609.02907), eq. 2. Deviations: the residual and the norm, which preserve the
    content of a cell with any number of neighbours.
    """

    def __init__(self, channels: int) -> None:
        """Build the norm and the projection."""
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        self.linear = nn.Linear(channels, channels)

    def forward(self, cells: Tensor, adjacency: Tensor) -> Tensor:
        """Return (B, N, C) from cells (B, N, C) and a normalised adjacency (B, N, N)."""
        return cells + F.relu(self.linear(adjacency @ self.norm(cells)))


class GraphNeck(nn.Module):
    """Graph convolutions over the cells of a video, with edges to neighbours in time and to the most similar cells.

    The graph is built once, from the input cells. Source: the clip graph of video graph networks such as G-TAD
    (arXiv:1911.11462), with temporal edges and K nearest neighbours in feature space (there by distance, here by cosine).
    Deviations: one weight for both kinds of edge.
    """

    def __init__(self, channels: int, *, num_layers: int, neighbours: int, normalisation: Normalisation) -> None:
        """Build the layers."""
        super().__init__()
        self.neighbours = neighbours
        self.normalisation: Normalisation = normalisation
        self.layers = nn.ModuleList(GraphConvolution(channels) for _ in range(num_layers))

    def forward(self, cells: Tensor, mask: Tensor) -> Tensor:
        """Return (B, N, C) from cells (B, N, C); cells outside the video, by `mask` (B, N) bool, have no edges."""
        edges = join_in_time(mask) | join_nearest(cells.detach(), mask, self.neighbours)
        adjacency = normalise_adjacency(edges.to(cells.dtype), self.normalisation)
        for layer in self.layers:
            cells = layer(cells, adjacency)
        return cells * mask[..., None]


def join_in_time(mask: Tensor) -> Tensor:
    """Return the edges between adjacent cells, both inside the video: (B, N) bool -> (B, N, N) bool."""
    position = torch.arange(mask.shape[1], device=mask.device)
    beside = (position[:, None] - position[None, :]).abs() == 1
    return beside & mask[:, :, None] & mask[:, None, :]


def join_nearest(cells: Tensor, mask: Tensor, neighbours: int) -> Tensor:
    """Return the edges between each cell inside the video and its K most similar others, by cosine: (B, N, N) bool, symmetric.

    All cells as similar as the K-th count, so a cell may have more neighbours. A video of fewer cells joins them all.
    """
    unit = F.normalize(cells, dim=-1)
    itself = torch.eye(mask.shape[1], dtype=torch.bool, device=mask.device)
    allowed = mask[:, :, None] & mask[:, None, :] & ~itself
    cosine = (unit @ unit.transpose(1, 2)).masked_fill(~allowed, -2.0)
    last = cosine.topk(min(neighbours, mask.shape[1]), dim=-1).values[..., -1:]  # (B, N, 1)
    near = (cosine >= last - TIE) & allowed
    return near | near.transpose(1, 2)


def normalise_adjacency(edges: Tensor, normalisation: Normalisation) -> Tensor:
    """Return D^-1/2 (A + I) D^-1/2, or D^-1 (A + I) whose rows sum to 1: (B, N, N) of 0 and 1 -> (B, N, N)."""
    joined = edges + torch.eye(edges.shape[-1], dtype=edges.dtype, device=edges.device)
    degree = joined.sum(-1, keepdim=True)  # (B, N, 1), at least 1
    if normalisation == "row":
        return joined / degree
    root = degree.rsqrt()
    return root * joined * root.transpose(1, 2)


class NoNeckParams(Params):
    """Empty schema: no neck, cells stay unchanged."""

    name: Literal["none"] = "none"

    def build(self, channels: int) -> None:
        """Return None."""


class GraphNeckParams(Params):
    """Values of the graph neck."""

    name: Literal["gcn"]
    num_layers: PositiveInt = 2
    neighbours: PositiveInt = 4  # K, in feature space
    normalisation: Normalisation = "symmetric"

    def build(self, channels: int) -> GraphNeck:
        """Return an untrained neck for cells of this width."""
        return GraphNeck(channels, num_layers=self.num_layers, neighbours=self.neighbours, normalisation=self.normalisation)


NeckParams = Annotated[NoNeckParams | GraphNeckParams, Field(discriminator="name")]
