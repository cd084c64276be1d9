"""Transformer text encoder: word vectors in context. Letters: B sentences, L words, D width, H hidden width, A heads."""

import math
from typing import Literal, Self

import torch
from pydantic import Field, PositiveFloat, PositiveInt, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from corpus.text import PADDING
from models.contracts.batches import TextFeatures
from models.contracts.roles import TextEncoder, TextEncoderParams
from models.encoders.text.base.words import Pooling, build_word_table, pool_words


class TransformerText(TextEncoder):
    """Word vectors plus a learned correction by a transformer with sine positions.

    Source: Vaswani et al. 2017 (arXiv:1706.03762), the encoder. Deviations: layers are normalised before attention and
    feed-forward part, not after; the result is added to the word vectors through a layer that starts at zero, so that
    learning starts from a bag of words.
    """

    def __init__(self, vocabulary_size: int, params: "TransformerTextParams") -> None:
        """Draw the weights from torch's global generator."""
        super().__init__()
        self.pooling = params.pooling
        self.table = build_word_table(vocabulary_size, params.dim, init_std=params.init_std)
        self.widen = nn.Linear(params.dim, params.hidden_dim)
        self.layers = nn.ModuleList(_Layer(params) for _ in range(params.num_layers))
        self.norm = nn.LayerNorm(params.hidden_dim)
        self.context = nn.Linear(params.hidden_dim, params.dim, bias=False)
        nn.init.zeros_(self.context.weight)

    def forward(self, token_ids: Tensor) -> TextFeatures:
        """Encode (B, L) int64; `pooled` is the sum or mean of a sentence's tokens."""
        mask = token_ids != PADDING  # (B, L)
        words = self.table(token_ids)  # (B, L, D)
        hidden = self.widen(words)  # (B, L, H)
        hidden = hidden + compute_sine_positions(hidden.shape[1], hidden.shape[2], device=hidden.device)
        for layer in self.layers:
            hidden = layer(hidden, mask)
        tokens = (words + self.context(self.norm(hidden))) * mask[..., None]  # (B, L, D)
        return TextFeatures(tokens=tokens, mask=mask, pooled=pool_words(tokens, mask, self.pooling))


def compute_sine_positions(length: int, width: int, *, device: torch.device) -> Tensor:
    """Return (L, H): sines in the even columns and cosines in the odd ones, of wavelengths from 2 pi to 10000 * 2 pi."""
    position = torch.arange(length, device=device)[:, None]
    rate = torch.exp(torch.arange(0, width, 2, device=device) * (-math.log(10000.0) / width))
    angle: Tensor = position * rate  # (L, H / 2)
    return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1)


class _Layer(nn.Module):
    def __init__(self, params: "TransformerTextParams") -> None:
        super().__init__()
        width = params.hidden_dim
        self.num_heads, self.dropout = params.num_heads, nn.Dropout(params.dropout)
        self.norm_attention, self.norm_forward = nn.LayerNorm(width), nn.LayerNorm(width)
        self.inputs, self.outputs = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.forward_part = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Return (B, L, H) from (B, L, H); no word attends to a masked one."""
        attended: Tensor = hidden + self.dropout(self.outputs(self._attend(self.norm_attention(hidden), mask)))
        found: Tensor = attended + self.dropout(self.forward_part(self.norm_forward(attended)))
        return found

    def _attend(self, hidden: Tensor, mask: Tensor) -> Tensor:
        heads = self.inputs(hidden).unflatten(-1, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4)  # (3, B, A, L, H / A)
        bias = torch.zeros_like(mask, dtype=heads.dtype).masked_fill(~mask, torch.finfo(heads.dtype).min)
        found: Tensor = F.scaled_dot_product_attention(heads[0], heads[1], heads[2], attn_mask=bias[:, None, None])
        return found.transpose(1, 2).flatten(2)


class TransformerTextParams(TextEncoderParams):
    """Values of `TransformerText`."""

    name: Literal["transformer"]
    dim: PositiveInt = 64
    hidden_dim: PositiveInt = 64
    num_layers: PositiveInt = 2
    num_heads: PositiveInt = 4
    dropout: float = Field(default=0.1, ge=0, lt=1)
    pooling: Pooling = "sum"
    init_std: PositiveFloat = 0.1

    @model_validator(mode="after")
    def _check_widths(self) -> Self:
        if self.hidden_dim % (2 * self.num_heads):
            raise ValueError(
                f"hidden_dim must be a multiple of 2 * num_heads, got {self.hidden_dim} with num_heads = {self.num_heads}"
            )
        return self

    def build(self, vocabulary_size: int) -> TransformerText:
        """Return an untrained encoder for this many ids, padding and unknown included."""
        return TransformerText(vocabulary_size, self)
