"""Word tables and pooling. Letters: B sentences, L words, D width."""

from typing import Literal

import torch
from torch import Tensor, nn

from corpus.text import PADDING, UNKNOWN

Pooling = Literal["sum", "mean"]


def build_word_table(vocabulary_size: int, dim: int, *, init_std: float) -> nn.Embedding:
    """Return a table drawn from torch's global generator.

    The padding row stays zero. The unknown row starts at zero, so that an unseen word adds nothing.
    """
    table = nn.Embedding(vocabulary_size, dim, padding_idx=PADDING)
    with torch.no_grad():
        table.weight.normal_(std=init_std)
        table.weight[[PADDING, UNKNOWN]] = 0.0
    return table


def pool_words(tokens: Tensor, mask: Tensor, pooling: Pooling) -> Tensor:
    """Return the sum or mean of the tokens of each sentence: (B, L, D), zero where masked, and (B, L) -> (B, D)."""
    pooled = tokens.sum(dim=1)
    return pooled if pooling == "sum" else pooled / mask.sum(dim=1, keepdim=True).clamp(min=1)
