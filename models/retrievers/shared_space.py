"""Retriever in the space of the encoders: clips and sentences as unit vectors, with nothing to learn.

Letters: S clips, P places, B sentences, D width that places and sentences share.
"""

from collections.abc import Mapping
from typing import Literal

from torch import Tensor
from torch.nn import functional as F

from models.contracts.batches import InputDims, TextFeatures
from models.contracts.roles import Retriever, RetrieverParams
from models.layers.place_alignment import require_shared_space
from models.layers.streams import join_streams

Pooling = Literal["mean", "max"]


class SharedSpace(Retriever):
    """Embeds a clip as its pooled places and a sentence as its pooled vector, both of unit length, for aligned encoders.

    Source: cosine similarity of CLIP (Radford et al. 2021, arXiv:2103.00020), which has one place. Deviation for encoders
    of several places: they align a sentence with the best places of a clip (`models.layers.place_alignment`). No single
    vector can express that, so the mean or the maximum over places takes its place.
    """

    def __init__(self, params: "SharedSpaceParams", dims: InputDims) -> None:
        """Build for places and sentences of one width.

        Raises:
            ValueError: when the widths differ, or a stream is missing.
        """
        super().__init__()
        self.streams = params.streams
        self.embedding_dim = require_shared_space(params.name, params.streams, dims)
        self.pooling = params.pooling

    def embed_clips(self, streams: Mapping[str, Tensor]) -> Tensor:
        """Embed clips on their own: each stream (S, P, D) -> (S, D), unit length."""
        places = join_streams(streams, self.streams)
        return F.normalize(places.mean(dim=1) if self.pooling == "mean" else places.amax(dim=1), dim=-1)

    def embed_queries(self, text: TextFeatures) -> Tensor:
        """Embed queries: -> (B, D), unit length, but zero for sentences without a known word."""
        return F.normalize(text.pooled, dim=-1)


class SharedSpaceParams(RetrieverParams):
    """Values of `SharedSpace`."""

    name: Literal["shared_space"]
    pooling: Pooling = "max"  # over the places of a clip

    def build(self, dims: InputDims) -> SharedSpace:
        """Return the retriever; it has no weights."""
        return SharedSpace(self, dims)
