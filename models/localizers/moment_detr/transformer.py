"""DETR transformer over a sequence, with positions added in every layer and learned queries.

Source: Carion et al. 2020 (arXiv:2005.12872) and its form for moments, Moment-DETR (arXiv:2107.09609), with normalisation
after each part. Letters: B rows, S places of the sequence, Q queries, H width.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

TEMPERATURE = 10000.0  # of the sine positions, as in both sources


def compute_sine_positions(mask: Tensor, hidden_dim: int) -> Tensor:
    """Return positions (B, S, H): alternating sines and cosines of 2 pi times the elapsed fraction of the sequence.

    `mask` (B, S) bool is True inside the sequence; the fraction is 1 at its end for any length. `hidden_dim` is even.
    """
    passed = mask.cumsum(1, dtype=torch.float32)
    angle = passed / passed[:, -1:].clamp_min(1) * 2 * math.pi  # (B, S)
    exponent = torch.arange(0, hidden_dim, 2, dtype=torch.float32, device=mask.device) / hidden_dim
    scaled = angle[..., None] / TEMPERATURE**exponent  # (B, S, H / 2)
    return torch.stack([scaled.sin(), scaled.cos()], dim=-1).flatten(2)


class FeedForward(nn.Module):
    """Two linear layers added to their input, then normalised."""

    def __init__(self, hidden_dim: int, feedforward_dim: int, dropout: float) -> None:
        """Build the layers."""
        super().__init__()
        self.enter = nn.Linear(hidden_dim, feedforward_dim)
        self.leave = nn.Linear(feedforward_dim, hidden_dim)
        self.norm = nn.LayerNorm(hidden_dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, hidden: Tensor) -> Tensor:
        """Return (B, S, H) from (B, S, H)."""
        update = self.leave(self.dropout(F.relu(self.enter(hidden))))
        found: Tensor = self.norm(hidden + self.dropout(update))
        return found


class Attend(nn.Module):
    """Attention added to its input, then normalised."""

    def __init__(self, hidden_dim: int, num_heads: int, dropout: float) -> None:
        """Build the layers."""
        super().__init__()
        self.attention = nn.MultiheadAttention(hidden_dim, num_heads, dropout=dropout, batch_first=True)
        self.norm = nn.LayerNorm(hidden_dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, hidden: Tensor, query: Tensor, key: Tensor, value: Tensor, ignored: Tensor | None = None) -> Tensor:
        """Return (B, Q, H): `hidden` and `query` (B, Q, H), `key` and `value` (B, S, H), `ignored` (B, S) bool."""
        update = self.attention(query, key, value, key_padding_mask=ignored, need_weights=False)[0]
        found: Tensor = self.norm(hidden + self.dropout(update))
        return found


class EncoderLayer(nn.Module):
    """Self-attention in which positions are added to queries and keys."""

    def __init__(self, hidden_dim: int, *, num_heads: int, feedforward_dim: int, dropout: float) -> None:
        """Build the parts."""
        super().__init__()
        self.attend = Attend(hidden_dim, num_heads, dropout)
        self.feed_forward = FeedForward(hidden_dim, feedforward_dim, dropout)

    def forward(self, hidden: Tensor, positions: Tensor, ignored: Tensor) -> Tensor:
        """Return (B, S, H) from places and positions (B, S, H); `ignored` (B, S) bool marks keys without attention."""
        placed = hidden + positions
        found: Tensor = self.feed_forward(self.attend(hidden, placed, placed, hidden, ignored))
        return found


class DecoderLayer(nn.Module):
    """Self-attention among the queries, then attention to the sequence."""

    def __init__(self, hidden_dim: int, *, num_heads: int, feedforward_dim: int, dropout: float) -> None:
        """Build the parts."""
        super().__init__()
        self.attend_queries = Attend(hidden_dim, num_heads, dropout)
        self.attend_memory = Attend(hidden_dim, num_heads, dropout)
        self.feed_forward = FeedForward(hidden_dim, feedforward_dim, dropout)

    def forward(self, hidden: Tensor, queries: Tensor, memory: Tensor, positions: Tensor, ignored: Tensor) -> Tensor:
        """Return (B, Q, H) from query states and queries (B, Q, H), and memory with positions (B, S, H)."""
        placed = hidden + queries
        hidden = self.attend_queries(hidden, placed, placed, hidden)
        hidden = self.attend_memory(hidden, hidden + queries, memory + positions, memory, ignored)
        found: Tensor = self.feed_forward(hidden)
        return found


class DetrTransformer(nn.Module):
    """Encoder over the sequence, and a decoder that returns the output of every layer through one shared normalisation."""

    def __init__(
        self, hidden_dim: int, *, num_queries: int, num_layers: int, num_heads: int, feedforward_dim: int, dropout: float
    ) -> None:
        """Build `num_layers` encoder and decoder layers; matrices start as in the paper's code (Glorot, uniform)."""
        super().__init__()
        sizes = {"num_heads": num_heads, "feedforward_dim": feedforward_dim}
        self.encoder = nn.ModuleList(EncoderLayer(hidden_dim, dropout=dropout, **sizes) for _ in range(num_layers))
        self.decoder = nn.ModuleList(DecoderLayer(hidden_dim, dropout=dropout, **sizes) for _ in range(num_layers))
        self.norm = nn.LayerNorm(hidden_dim)
        for parameter in self.parameters():
            if parameter.ndim > 1:
                nn.init.xavier_uniform_(parameter)
        self.queries = nn.Embedding(num_queries, hidden_dim)

    def forward(self, sequence: Tensor, positions: Tensor, mask: Tensor) -> tuple[list[Tensor], Tensor]:
        """Return the query states after each decoder layer, (B, Q, H) each, and the encoded sequence (B, S, H).

        `sequence` and `positions` are (B, S, H); places outside `mask` (B, S) bool are ignored.
        """
        ignored = ~mask
        memory = sequence
        for layer in self.encoder:
            memory = layer(memory, positions, ignored)
        queries = self.queries.weight.expand(sequence.shape[0], -1, -1)
        hidden, found = torch.zeros_like(queries), []
        for layer in self.decoder:
            hidden = layer(hidden, queries, memory, positions, ignored)
            found.append(self.norm(hidden))
        return found, memory
