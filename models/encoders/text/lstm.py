"""LSTM text encoder: word vectors in context. Letters: B sentences, L words, D width, H hidden width."""

from typing import Literal

from pydantic import Field, PositiveFloat, PositiveInt
from torch import Tensor, nn

from corpus.text import PADDING
from models.contracts.batches import TextFeatures
from models.contracts.roles import TextEncoder, TextEncoderParams
from models.encoders.text.base.words import Pooling, build_word_table, pool_words


class LSTMText(TextEncoder):
    """Word vectors plus a learned correction by a forward LSTM.

    The LSTM reads only forwards, so the padding after a sentence cannot affect its words. Source: the text branch of
    2D-TAN (arXiv:1912.03590), section 3.1. Deviations: word vectors are learned; the states are added to the word vectors
    through a layer that starts at zero, so that learning starts from a bag of words; a sentence is pooled over its words
    instead of the last state.
    """

    def __init__(self, vocabulary_size: int, params: "LSTMTextParams") -> None:
        """Draw the weights from torch's global generator."""
        super().__init__()
        self.pooling = params.pooling
        self.table = build_word_table(vocabulary_size, params.dim, init_std=params.init_std)
        self.lstm = nn.LSTM(params.dim, params.hidden_dim, num_layers=params.num_layers, batch_first=True)
        self.dropout = nn.Dropout(params.dropout)
        self.context = nn.Linear(params.hidden_dim, params.dim, bias=False)
        nn.init.zeros_(self.context.weight)

    def forward(self, token_ids: Tensor) -> TextFeatures:
        """Encode (B, L) int64; `pooled` is the sum or mean of a sentence's tokens."""
        mask = token_ids != PADDING  # (B, L)
        words = self.table(token_ids)  # (B, L, D)
        states, _ = self.lstm(words)  # (B, L, H)
        tokens = (words + self.context(self.dropout(states))) * mask[..., None]  # (B, L, D)
        return TextFeatures(tokens=tokens, mask=mask, pooled=pool_words(tokens, mask, self.pooling))


class LSTMTextParams(TextEncoderParams):
    """Values of `LSTMText`."""

    name: Literal["lstm"]
    dim: PositiveInt = 64
    hidden_dim: PositiveInt = 64
    num_layers: PositiveInt = 1
    dropout: float = Field(default=0.1, ge=0, lt=1)  # of the states
    pooling: Pooling = "sum"
    init_std: PositiveFloat = 0.1

    def build(self, vocabulary_size: int) -> LSTMText:
        """Return an untrained encoder for this many ids, padding and unknown included."""
        return LSTMText(vocabulary_size, self)
