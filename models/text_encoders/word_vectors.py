"""One vector per word. Letters: B sentences, L words, D width."""

from typing import Literal

import torch
from pydantic import PositiveFloat, PositiveInt
from torch import Tensor, nn

from corpus.text import PADDING, UNKNOWN
from models.exchange.batches import TextFeatures
from models.exchange.roles import TextEncoder, TextEncoderParams


class WordVectors(TextEncoder):
    """A table of word vectors; a sentence is their sum or mean, so padding changes nothing.

    The padding row is zero and stays so. The unknown row starts at zero: a word that was never seen adds nothing.
    """

    def __init__(self, vocabulary_size: int, params: "WordVectorsParams") -> None:
        """Fill the table from torch's global generator."""
        super().__init__()
        self.pooling = params.pooling
        self.table = nn.Embedding(vocabulary_size, params.dim, padding_idx=PADDING)
        with torch.no_grad():
            self.table.weight.normal_(std=params.init_std)
            self.table.weight[[PADDING, UNKNOWN]] = 0.0

    def forward(self, token_ids: Tensor) -> TextFeatures:
        """Encode (B, L) int64; `pooled` is the sum of a sentence's word vectors, or their mean."""
        mask = token_ids != PADDING  # (B, L)
        tokens = self.table(token_ids) * mask[..., None]  # (B, L, D)
        pooled = tokens.sum(dim=1)
        if self.pooling == "mean":
            pooled = pooled / mask.sum(dim=1, keepdim=True).clamp(min=1)
        return TextFeatures(tokens=tokens, mask=mask, pooled=pooled)


class WordVectorsParams(TextEncoderParams):
    """Values of `WordVectors`."""

    name: Literal["word_vectors"]
    dim: PositiveInt = 64
    pooling: Literal["sum", "mean"] = "sum"
    init_std: PositiveFloat = 0.1

    def build(self, vocabulary_size: int) -> WordVectors:
        """Return an untrained table with this many rows, padding and unknown included."""
        return WordVectors(vocabulary_size, self)
