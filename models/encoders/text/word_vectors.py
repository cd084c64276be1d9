"""Word-vector text encoder: one vector per word. Letters: B sentences, L words, D width."""

from typing import Literal

from pydantic import PositiveFloat, PositiveInt
from torch import Tensor

from corpus.text import PADDING
from models.contracts.batches import TextFeatures
from models.contracts.roles import TextEncoder, TextEncoderParams
from models.encoders.text.base.words import Pooling, build_word_table, pool_words


class WordVectors(TextEncoder):
    """Table of word vectors; a sentence is their sum or mean, so padding changes nothing."""

    def __init__(self, vocabulary_size: int, params: "WordVectorsParams") -> None:
        """Fill the table from torch's global generator."""
        super().__init__()
        self.pooling = params.pooling
        self.table = build_word_table(vocabulary_size, params.dim, init_std=params.init_std)

    def forward(self, token_ids: Tensor) -> TextFeatures:
        """Encode (B, L) int64; `pooled` is the sum or mean of a sentence's word vectors."""
        mask = token_ids != PADDING  # (B, L)
        tokens = self.table(token_ids) * mask[..., None]  # (B, L, D)
        return TextFeatures(tokens=tokens, mask=mask, pooled=pool_words(tokens, mask, self.pooling))


class WordVectorsParams(TextEncoderParams):
    """Values of `WordVectors`."""

    name: Literal["word_vectors"]
    dim: PositiveInt = 64
    pooling: Pooling = "sum"
    init_std: PositiveFloat = 0.1

    def build(self, vocabulary_size: int) -> WordVectors:
        """Return an untrained table with this many rows, padding and unknown included."""
        return WordVectors(vocabulary_size, self)
