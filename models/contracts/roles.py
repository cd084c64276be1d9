"""Interfaces of encoders, localizers and retrievers, with the schemas that build them."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol, runtime_checkable

from pydantic import PositiveInt
from torch import Tensor, nn

from corpus.media import ClipSampling, SoundSampling
from corpus.params import Params
from corpus.stream_names import VIDEO, StreamNames
from corpus.text import Tokenizer, Vocabulary
from models.contracts.batches import Candidates, InputDims, TextFeatures, VideoFeatures


class StreamReaderParams(Params):
    """Schema of a model that reads feature streams, listed in the order in which it joins them."""

    streams: StreamNames = (VIDEO,)


class Localizer(nn.Module, ABC):
    """Model that reads one video and one query per row and returns candidate moments.

    `streams` names its inputs and is empty if it reads only the sentence. `num_cells` is the length N of its time axis: callers
    resample the clips of each stream to it with `corpus.moments.resample_clips`. `embedding_dim` is the width of
    `Candidates.features`, or None without features.
    """

    streams: tuple[str, ...]
    num_cells: int
    embedding_dim: int | None = None

    @abstractmethod
    def forward(self, video: VideoFeatures, text: TextFeatures) -> Candidates:
        """Return candidates; M does not depend on the input values."""

    @classmethod
    def answer_all(cls, localizers: Sequence["Localizer"], video: VideoFeatures, text: TextFeatures) -> Iterator[Candidates]:
        """Yield what several localizers of this class answer; a class whose localizers share work does that once."""
        return (localizer(video, text) for localizer in localizers)


class LocalizerParams(StreamReaderParams, ABC):
    """Schema shared by all localizers."""

    num_cells: PositiveInt  # N of its time axis

    @abstractmethod
    def build(self, dims: InputDims) -> Localizer:
        """Return an untrained localizer for features and text of these widths."""


class Retriever(nn.Module, ABC):
    """Model that embeds clips and queries in one space, so that a whole collection can be indexed.

    It reads `streams` on the clips of the first one: callers align the others with `corpus.alignment.align_clips`.
    """

    streams: tuple[str, ...]
    embedding_dim: int

    @abstractmethod
    def embed_clips(self, streams: Mapping[str, Tensor]) -> Tensor:
        """Embed clips on their own: each stream (S, P, D) -> (S, E), unit length."""

    @abstractmethod
    def embed_queries(self, text: TextFeatures) -> Tensor:
        """Embed queries: -> (B, E), unit length."""


class RetrieverParams(StreamReaderParams, ABC):
    """Schema shared by all retrievers."""

    @abstractmethod
    def build(self, dims: InputDims) -> Retriever:
        """Return an untrained retriever for features and text of these widths."""


@runtime_checkable
class PublishedParams(Protocol):
    """Schema of an encoder that starts from a published model."""

    @property
    def model_name(self) -> str:
        """The name by which people know the model."""

    @property
    def revision(self) -> str | None:
        """Its commit on the hub, if known."""


class OnnxEncoder(ABC):
    """An encoder that is an ONNX network already, which no exporter has to trace."""

    @abstractmethod
    def to_onnx(self) -> bytes:
        """Return the file that a bundle holds, with the inputs and outputs of an exported encoder."""


class ClipEncoder(nn.Module, ABC):
    """Encoder of one stream: turns clips of pictures or sound, chosen by its sampling, into features."""

    sampling: ClipSampling | SoundSampling

    @abstractmethod
    def encode_clips(self, clips: Tensor) -> Tensor:
        """Encode clips of one video in order, as from `corpus.media.iter_stream_clips`, into (S, P, D) float32."""


class ClipStart(NamedTuple):
    """The encoder of a stream before pretraining: its final schema and its initial weights."""

    params: "ClipEncoderParams"
    encoder: ClipEncoder


class ClipEncoderParams(Params, ABC):
    """Schema shared by the encoders of all streams."""

    sampling: ClipSampling | SoundSampling

    @abstractmethod
    def build(self) -> ClipEncoder:
        """Return an encoder with random, fixed or not yet loaded weights."""

    def start(self) -> ClipStart:
        """Return the encoder that pretraining starts from."""
        return ClipStart(self, self.build())


class VideoEncoder(ClipEncoder):
    """Encoder of frames, K per clip and clip after clip, into clip features."""

    sampling: ClipSampling

    @abstractmethod
    def forward(self, frames: Tensor) -> Tensor:
        """Encode (B, T, H, W, 3) uint8 with T = N * K into (B, N, P, D) float32."""

    def encode_visible(self, frames: Tensor, hidden: Tensor) -> Tensor:
        """Encode like `forward`, without the pixels of the places in `hidden`, (B, N, P) bool.

        Raises:
            NotImplementedError: naming an encoder that cannot hide places.
        """
        raise NotImplementedError(f"{type(self).__name__} cannot hide places of its clips; choose another video encoder")

    def encode_clips(self, clips: Tensor) -> Tensor:
        """Encode clips of one video in order: (S, K, H, W, 3) uint8 -> (S, P, D) float32."""
        features: Tensor = self(clips.flatten(0, 1)[None])[0]
        return features


class VideoEncoderParams(ClipEncoderParams):
    """Schema shared by all encoders of pictures."""

    sampling: ClipSampling

    @abstractmethod
    def build(self) -> VideoEncoder:
        """Return an encoder with random or not yet loaded weights."""


class SoundEncoder(ClipEncoder):
    """Encoder of sound into clip features."""

    sampling: SoundSampling

    @abstractmethod
    def forward(self, clips: Tensor) -> Tensor:
        """Encode (S, T) float32 in [-1, 1] into (S, P, D) float32."""

    def encode_clips(self, clips: Tensor) -> Tensor:
        """Encode clips of one video in order: (S, T) -> (S, P, D) float32."""
        features: Tensor = self(clips)
        return features


class SoundEncoderParams(ClipEncoderParams):
    """Schema shared by all encoders of sound."""

    sampling: SoundSampling

    @abstractmethod
    def build(self) -> SoundEncoder:
        """Return an untrained encoder."""


class TextEncoder(nn.Module, ABC):
    """Encoder of token ids into token and sentence vectors. Ids come from a `corpus.text.Tokenizer`; 0 is padding."""

    @abstractmethod
    def forward(self, token_ids: Tensor) -> TextFeatures:
        """Encode (B, L) int64."""


class TextStart(NamedTuple):
    """A text encoder before pretraining: its final schema, its tokenizer and its initial weights."""

    params: "TextEncoderParams"
    tokenizer: Tokenizer
    encoder: TextEncoder


class TextEncoderParams(Params, ABC):
    """Schema shared by all text encoders."""

    @abstractmethod
    def build(self, vocabulary_size: int) -> TextEncoder:
        """Return an encoder with random or not yet loaded weights for this many token ids, padding included."""

    def start(self, texts: Sequence[str]) -> TextStart:
        """Return the encoder that pretraining starts from; `texts` are all training sentences."""
        vocabulary = Vocabulary.from_texts(texts)
        return TextStart(self, vocabulary, self.build(len(vocabulary)))


class EncoderPair(NamedTuple):
    """Two towers of one space: the encoder of the pictures, and that of the sentences."""

    video: VideoEncoderParams
    text: TextEncoderParams


class EncoderPairParams(Params, ABC):
    """Schema shared by all pairs: one choice of both encoders, which come from one source and need no pretraining.

    A pair expands into members of the registries of encoders. Later stages know only those.
    """

    @abstractmethod
    def expand(self) -> EncoderPair:
        """Return the encoder of the stream `video` and the text encoder, both with the values of this one."""
