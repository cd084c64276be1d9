"""Frozen text encoders with a trainable projection. Letters: B sentences, L tokens, W width of the frozen part, D width."""

from abc import ABC, abstractmethod
from typing import Any, Literal, Self

import torch
from pydantic import PositiveInt
from torch import Tensor, nn

from corpus.text import PADDING
from models.contracts.batches import TextFeatures
from models.contracts.roles import TextEncoder, TextEncoderParams


class FrozenTextEncoder(TextEncoder, ABC):
    """Text encoder with a frozen part, and an optional projection of both tokens and sentences.

    The projection has no bias, so zero stays zero. It starts as an orthogonal matrix, which keeps lengths if D = W.
    """

    def __init__(self, frozen: nn.Module, width: int, params: "FrozenTextEncoderParams") -> None:
        """Freeze `frozen` (W = `width`) and draw the projection from torch's global generator."""
        super().__init__()
        self.frozen: Any = frozen.eval().requires_grad_(False)
        self.projection = nn.Identity() if params.dim is None else nn.Linear(width, params.dim, bias=False)
        if isinstance(self.projection, nn.Linear):
            nn.init.orthogonal_(self.projection.weight)
            self.projection.requires_grad_(params.projection == "learned")

    @abstractmethod
    def encode_frozen(self, token_ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Return tokens (B, L, W) and sentences (B, W) of the frozen part; values at padding do not matter."""

    def forward(self, token_ids: Tensor) -> TextFeatures:
        """Encode (B, L) int64."""
        mask = token_ids != PADDING  # (B, L)
        with torch.no_grad():
            tokens, pooled = self.encode_frozen(token_ids, mask)
        return TextFeatures(self.projection(tokens) * mask[..., None], mask, self.projection(pooled))

    def train(self, mode: bool = True) -> Self:
        """Set the mode of the projection; the frozen part stays in evaluation mode."""
        super().train(mode)
        self.frozen.eval()
        return self


class FrozenTextEncoderParams(TextEncoderParams, ABC):
    """Values shared by all text encoders with a frozen part."""

    dim: PositiveInt | None = None  # of the projection; null: no projection, the width of the frozen part
    projection: Literal["learned", "fixed"] = "learned"  # fixed: stays at its random start
