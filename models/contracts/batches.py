"""Batches: inputs of a localizer, its candidates, the targets, and the context that losses read.

Letters: B videos or queries, N cells of the time axis, P places of a clip, L words, M candidate moments, G true
moments, D widths, E embedding width.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from torch import Tensor


@dataclass(frozen=True, slots=True)
class StreamDims:
    """Places P of a clip and width D of one stream, or of joined streams."""

    num_places: int
    dim: int


@dataclass(frozen=True, slots=True)
class InputDims:
    """Input widths of a model, derived from the data and never configured."""

    streams: Mapping[str, StreamDims]  # those that the model reads
    text_dim: int

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {"streams": {name: asdict(dims) for name, dims in self.streams.items()}, "text_dim": self.text_dim}

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> "InputDims":
        """Build the widths from their JSON form."""
        return cls({name: StreamDims(**dims) for name, dims in row["streams"].items()}, row["text_dim"])


class TextFeatures(NamedTuple):
    """Encoded sentences: the output of every text encoder and the input of every model that reads queries."""

    tokens: Tensor  # (B, L, D) float, zero where masked
    mask: Tensor  # (B, L) bool, True at words
    pooled: Tensor  # (B, D)


class VideoFeatures(NamedTuple):
    """Named streams of clip features on N cells of the time axis: the video input of a localizer."""

    streams: Mapping[str, Tensor]  # each (B, N, P, D) float with its own P and D; empty for a model that reads no stream
    mask: Tensor  # (B, N) bool, True at cells inside the video
    duration_s: Tensor  # (B,) seconds covered by the N cells that are not masked


class PointAnswers(NamedTuple):
    """Point outputs of a localizer that regresses moments from points in time, one point per candidate, for its losses."""

    time_s: Tensor  # (B, M)
    reach_s: Tensor  # (B, M, 2), (lower, upper] limits of the distance to the farther end of a moment assigned to the point
    foreground: Tensor  # (B, M) logits that the point lies in a true moment
    centreness: Tensor  # (B, M) logits, high if the point lies in the middle of a moment


class Candidates(NamedTuple):
    """Output of every localizer. Map models flatten their valid cells; DETR models return their queries."""

    spans: Tensor  # (B, M, 2) seconds
    scores: Tensor  # (B, M) logits, higher is better
    valid: Tensor  # (B, M) bool
    features: Tensor | None = None  # (B, M, E), one vector per candidate, for losses on embeddings
    saliency: Tensor | None = None  # (B, N) logits that a cell lies inside a true moment
    query: Tensor | None = None  # (B, E), the sentence in the space of `features`
    auxiliary: tuple["Candidates", ...] = ()  # answers of earlier layers, for losses on every layer
    points: PointAnswers | None = None  # the points that the candidates were regressed from, for losses on points


class Targets(NamedTuple):
    """The true moments of a batch."""

    spans: Tensor  # (B, G, 2) seconds, zero where masked
    mask: Tensor  # (B, G) bool
    video_index: Tensor  # (B,) equal for rows of the same video
    text_index: Tensor  # (B,) equal for rows with the same sentence


class Labels(NamedTuple):
    """Class labels of the rows of a batch, (B,) int64 from 0 on, under four definitions of a class."""

    pair: Tensor  # one class per sentence
    verb: Tensor  # one class per main verb
    query_cluster: Tensor  # one class per cluster of sentence vectors
    video: Tensor  # one class per video


@dataclass(frozen=True, slots=True)
class LossDims:
    """Sizes for losses with their own parameters: embedding width of the model, and numbers of classes in the training data."""

    embedding_dim: int | None  # E of `moments`, `queries` and candidate features; None for a model without embeddings
    num_labels: Mapping[str, int]  # by field of `Labels`


@dataclass(frozen=True, slots=True)
class LossContext:
    """Everything that a loss term may read. A term names its fields and properties in `inputs`."""

    candidates: Candidates | None = None
    targets: Targets | None = None
    labels: Labels | None = None
    duration_s: Tensor | None = None  # (B,) of the videos
    other_candidates: Candidates | None = None  # for the same sentences, each in another video of the batch
    other_differs: Tensor | None = None  # (B,) bool, False if the batch held no other video
    iou: Tensor | None = None  # (B, M), best IoU of a candidate with a true moment
    cell_mask: Tensor | None = None  # (B, N) bool, True at cells inside the video
    inside: Tensor | None = None  # (B, N), share of a cell that lies inside a true moment
    moments: Tensor | None = None  # (B, E) embeddings; row i matches row i of `queries`
    queries: Tensor | None = None  # (B, E)
    false_negatives: Tensor | None = None  # (B, B) bool, off-diagonal pairs that match too
    epoch: float | None = None  # finished epochs of training, with the fraction of the current one

    @property
    def scores(self) -> Tensor | None:
        """The logits of the candidates, (B, M)."""
        return self.candidates.scores if self.candidates else None

    @property
    def valid(self) -> Tensor | None:
        """The mask of candidates inside the video, (B, M) bool."""
        return self.candidates.valid if self.candidates else None

    @property
    def features(self) -> Tensor | None:
        """One vector per candidate, (B, M, E)."""
        return self.candidates.features if self.candidates else None

    @property
    def saliency(self) -> Tensor | None:
        """The localizer's logits that a cell lies inside a true moment, (B, N)."""
        return self.candidates.saliency if self.candidates else None

    @property
    def points(self) -> PointAnswers | None:
        """The points of time that the localizer's candidates were regressed from."""
        return self.candidates.points if self.candidates else None
