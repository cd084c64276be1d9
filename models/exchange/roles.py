"""What a component of each slot must do: encoders, localizers and retrievers, with the schema that builds them."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

from pydantic import PositiveInt
from torch import Tensor, nn

from corpus.media import ClipSampling
from corpus.params import Params
from corpus.text import Tokenizer, Vocabulary
from models.exchange.batches import Candidates, InputDims, TextFeatures, VideoFeatures


class Localizer(nn.Module, ABC):
    """Reads one video and one query per row and returns candidate moments.

    `num_cells` is the length N of its time axis: callers resample a video's clips to it with
    `corpus.moments.resample_clips`. `embedding_dim` is the width of `Candidates.features`, none where it gives none.
    """

    num_cells: int
    embedding_dim: int | None = None

    @abstractmethod
    def forward(self, video: VideoFeatures, text: TextFeatures) -> Candidates:
        """Return candidates whose M does not depend on the values of the inputs."""


class LocalizerParams(Params, ABC):
    """Schema shared by all localizers."""

    num_cells: PositiveInt  # N of its time axis

    @abstractmethod
    def build(self, dims: InputDims) -> Localizer:
        """Return an untrained localizer for features and text of these widths."""


class Retriever(nn.Module, ABC):
    """Puts clips and queries into one space, so that a whole collection can be indexed."""

    embedding_dim: int

    @abstractmethod
    def embed_clips(self, features: Tensor) -> Tensor:
        """Embed clips on their own: (S, P, D) -> (S, E), unit length."""

    @abstractmethod
    def embed_queries(self, text: TextFeatures) -> Tensor:
        """Embed queries: -> (B, E), unit length."""


class RetrieverParams(Params, ABC):
    """Schema shared by all retrievers."""

    @abstractmethod
    def build(self, dims: InputDims) -> Retriever:
        """Return an untrained retriever for features and text of these widths."""


class VideoEncoder(nn.Module, ABC):
    """Frames to clip features: frames of K per clip, one clip after another."""

    sampling: ClipSampling

    @abstractmethod
    def forward(self, frames: Tensor) -> Tensor:
        """Encode (B, T, H, W, 3) uint8 with T = N * K into (B, N, P, D) float32."""


class VideoEncoderParams(Params, ABC):
    """Schema shared by all video encoders."""

    sampling: ClipSampling

    @abstractmethod
    def build(self) -> VideoEncoder:
        """Return an untrained encoder."""


class TextEncoder(nn.Module, ABC):
    """Token ids to token and sentence vectors. Ids come from a `corpus.text.Tokenizer`; 0 is padding."""

    @abstractmethod
    def forward(self, token_ids: Tensor) -> TextFeatures:
        """Encode (B, L) int64."""


class TextStart(NamedTuple):
    """A text encoder before pretraining: what it is built from later, what reads its sentences, its first weights."""

    params: "TextEncoderParams"
    tokenizer: Tokenizer
    encoder: TextEncoder


class TextEncoderParams(Params, ABC):
    """Schema shared by all text encoders."""

    @abstractmethod
    def build(self, vocabulary_size: int) -> TextEncoder:
        """Return an encoder for this many token ids, padding included, whose weights are drawn or wait to be loaded."""

    def start(self, texts: Sequence[str]) -> TextStart:
        """Return the encoder that pretraining starts from; `texts` are all training sentences."""
        vocabulary = Vocabulary.from_texts(texts)
        return TextStart(self, vocabulary, self.build(len(vocabulary)))
