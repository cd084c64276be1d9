"""CAL as a retriever: one index entry per clip; the cost of a moment is the mean over its clips.

Letters: S clips, P places, B sentences, E embedding width.
"""

from collections.abc import Mapping
from typing import Literal

from pydantic import Field, PositiveInt
from torch import Tensor
from torch.nn import functional as F

from models.contracts.batches import InputDims, TextFeatures
from models.contracts.roles import Retriever, RetrieverParams
from models.layers.clip_alignment import ClipEmbedding, SentenceEmbedding
from models.layers.streams import join_dims, join_streams


class CALRetriever(Retriever):
    """The clip network and the sentence network of CAL with unit vectors.

    Source: Escorcia et al. 2019 (arXiv:1907.12763), with the unit-vector option of the authors' code. For unit vectors,
    ||f(c) - g(q)||^2 = 2 - 2 <f(c), g(q)>, so an inner-product index ranks clips exactly like CAL's distance. The cost of a
    moment, the mean over its clips, is 2 - 2 times the mean inner product of its clips.
    Deviation: in training, the vector of a moment is the normalised mean of its clip vectors, as for every retriever here.
    """

    def __init__(self, params: "CALParams", dims: InputDims) -> None:
        """Build for features and words of these widths."""
        super().__init__()
        self.streams = params.streams
        self.embedding_dim = params.embedding_dim
        self.clips = ClipEmbedding(
            join_dims(dims, params.streams).dim,
            hidden_dim=params.hidden_dim,
            embedding_dim=params.embedding_dim,
            dropout=params.dropout,
        )
        self.sentence = SentenceEmbedding(dims.text_dim, hidden_dim=params.text_hidden_dim, embedding_dim=params.embedding_dim)

    def embed_clips(self, streams: Mapping[str, Tensor]) -> Tensor:
        """Embed clips on their own: each stream (S, P, D) -> (S, E), unit length."""
        return F.normalize(self.clips(join_streams(streams, self.streams)), dim=-1)

    def embed_queries(self, text: TextFeatures) -> Tensor:
        """Embed queries: -> (B, E), unit length."""
        return F.normalize(self.sentence(text), dim=-1)


class CALParams(RetrieverParams):
    """Values of CAL as a retriever."""

    name: Literal["cal"]
    embedding_dim: PositiveInt = 64
    hidden_dim: PositiveInt = 256
    text_hidden_dim: PositiveInt = 128
    dropout: float = Field(default=0.1, ge=0, lt=1)

    def build(self, dims: InputDims) -> CALRetriever:
        """Return an untrained CAL retriever."""
        return CALRetriever(self, dims)
