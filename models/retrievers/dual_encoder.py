"""Dual encoder: clips and sentences as unit vectors of one space.

Letters: S clips, P places, B sentences, L words, D input widths, H hidden width, E embedding width.
"""

from collections.abc import Mapping
from typing import Literal

import torch
from pydantic import Field, PositiveInt
from torch import Tensor, nn
from torch.nn import functional as F

from models.contracts.batches import InputDims, TextFeatures
from models.contracts.roles import Retriever, RetrieverParams
from models.layers.sentence_lstm import SentenceLSTM
from models.layers.streams import join_dims, join_streams


class DualEncoder(Retriever):
    """Clip tower: maximum over places of a hidden layer, and the mean place. Text tower: LSTM state and mean word.

    A hidden unit reads one place at a time, so it can detect a colour, a shape and a motion at the same place; the maximum
    keeps its best place (before the ReLU, which only saves time). The clip vector does not depend on the query, so a
    collection can be indexed.
    Source: own; the two-tower form is that of Frozen in Time (arXiv:2104.00650).
    """

    def __init__(self, params: "DualEncoderParams", dims: InputDims) -> None:
        """Build for features and words of these widths."""
        super().__init__()
        feature_dim = join_dims(dims, params.streams).dim
        self.streams = params.streams
        self.embedding_dim = params.embedding_dim
        self.place_linear = nn.Linear(feature_dim, params.hidden_dim)
        self.clip_linear = nn.Linear(params.hidden_dim + feature_dim, params.embedding_dim)
        self.text_lstm = SentenceLSTM(dims.text_dim, hidden_dim=params.text_hidden_dim, num_layers=1)
        self.text_linear = nn.Linear(params.text_hidden_dim + dims.text_dim, params.embedding_dim)
        self.dropout = nn.Dropout(params.dropout)

    def embed_clips(self, streams: Mapping[str, Tensor]) -> Tensor:
        """Embed clips on their own: each stream (S, P, D) -> (S, E), unit length."""
        features = join_streams(streams, self.streams)
        best = F.relu(self.place_linear(features).max(dim=1).values)  # (S, H)
        pooled = torch.cat([best, features.mean(dim=1)], dim=-1)  # (S, H + D)
        return F.normalize(self.clip_linear(self.dropout(pooled)), dim=-1)

    def embed_queries(self, text: TextFeatures) -> Tensor:
        """Embed queries: -> (B, E), unit length."""
        mask = text.mask[..., None].to(text.tokens.dtype)  # (B, L, 1)
        mean = (text.tokens * mask).sum(1) / mask.sum(1).clamp_min(1)  # (B, D)
        sentence = torch.cat([self.text_lstm(text), mean], dim=-1)
        return F.normalize(self.text_linear(self.dropout(sentence)), dim=-1)


class DualEncoderParams(RetrieverParams):
    """Values of the dual encoder."""

    name: Literal["dual_encoder"]
    embedding_dim: PositiveInt = 64
    hidden_dim: PositiveInt = 256
    text_hidden_dim: PositiveInt = 128
    dropout: float = Field(default=0.1, ge=0, lt=1)

    def build(self, dims: InputDims) -> DualEncoder:
        """Return an untrained dual encoder."""
        return DualEncoder(self, dims)
