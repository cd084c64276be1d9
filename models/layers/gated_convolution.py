"""Convolution along time, gated by a sentence. Letters: B rows, N cells, C channels."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class GatedConvolution(nn.Module):
    """Residual convolution along time with one sentence gate per channel."""

    def __init__(self, channels: int, *, text_dim: int, kernel_size: int, dropout: float) -> None:
        """Build the convolution and the sentence gate."""
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        self.convolution = nn.Conv1d(channels, channels, kernel_size, padding=kernel_size // 2)
        self.gate = nn.Linear(text_dim, channels)
        self.dropout = nn.Dropout(dropout)

    def forward(self, cells: Tensor, summary: Tensor, mask: Tensor) -> Tensor:
        """Return (B, N, C) from cells (B, N, C), the sentence (B, text_dim) and the mask of cells (B, N, 1)."""
        hidden = self.convolution((self.norm(cells) * mask).transpose(1, 2)).transpose(1, 2)
        update: Tensor = self.dropout(F.relu(hidden) * torch.sigmoid(self.gate(summary))[:, None])
        return cells + update
