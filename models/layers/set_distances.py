"""Squared distances between sets of vectors, and the Chamfer distance of every window of clips to a sentence.

Letters: B rows, N clips, L words, M windows, E width.
"""

import torch
from torch import Tensor, nn

from corpus.moments import build_dense_cells
from models.layers.proposals import PoolProposals
from models.layers.window_grid import WindowGrid


def compute_squared_distances(left: Tensor, right: Tensor) -> Tensor:
    """Return the squared Euclidean distance of every pair: (B, N, E), (B, L, E) -> (B, N, L), never below 0.

    The form |a|^2 + |b|^2 - 2 ab has a defined gradient at equal vectors, unlike `torch.cdist`.
    """
    squares = left.square().sum(-1)[:, :, None] + right.square().sum(-1)[:, None, :]
    return (squares - 2 * left @ right.transpose(1, 2)).clamp_min(0)


class WindowChamfer(nn.Module):
    """The Chamfer distance between the clips of each window and the words of a sentence.

    d = (1 / |m|) sum over clips of min over words + (1 / L) sum over words of min over clips, of squared distances.
    Source: Escorcia et al. 2019 (arXiv:1907.12763), the Chamfer form of CAL. Before a minimum, pairs with a padding word or a
    clip outside the video get the largest distance of their row added, so that they are never the nearest.
    """

    rows: Tensor

    def __init__(self, grid: WindowGrid) -> None:
        """Build for the windows of a grid."""
        super().__init__()
        self.grid = grid
        self.nearest = PoolProposals((grid.num_cells,))  # over all spans, by first, then last cell
        dense = build_dense_cells(grid.num_cells).tolist()
        windows = torch.stack([grid.first, grid.last], dim=1).tolist()
        rows = {tuple(cells): row for row, cells in enumerate(dense)}
        self.register_buffer("rows", torch.tensor([rows[tuple(cells)] for cells in windows]), persistent=False)  # (M,)

    def forward(self, distances: Tensor, mask: Tensor, word_mask: Tensor) -> Tensor:
        """Return (B, M) from squared distances (B, N, L), the cells inside (B, N) and the words (B, L)."""
        pairs = mask[:, :, None] & word_mask[:, None]  # (B, N, L)
        padded = distances + ~pairs * distances.detach().amax((1, 2), keepdim=True)
        of_clips = self.grid.average(padded.amin(2, keepdim=True), mask)[..., 0]  # (B, M)
        of_words = -self.nearest(-padded.transpose(1, 2))[:, self.rows]  # (B, M, L)
        total: Tensor = of_clips + (of_words * word_mask[:, None]).sum(-1) / word_mask.sum(1, keepdim=True).clamp_min(1)
        return total
