"""What models exchange: the inputs of a localizer, its candidates, the targets, and what a loss may read.

Letters: B videos or queries, N cells of the time axis, P places of a clip, L words, M candidate moments, G true
moments, D widths, E embedding width.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor


@dataclass(frozen=True, slots=True)
class InputDims:
    """Widths that a model learns from the data it is given, never from a file of choices."""

    feature_dim: int
    num_places: int
    text_dim: int


class TextFeatures(NamedTuple):
    """Encoded sentences: what every text encoder returns and every query-reading model takes."""

    tokens: Tensor  # (B, L, D) float, zero where masked
    mask: Tensor  # (B, L) bool, True at words
    pooled: Tensor  # (B, D)


class VideoFeatures(NamedTuple):
    """Clip features on N cells of the time axis: what a localizer and a retriever take."""

    features: Tensor  # (B, N, P, D) float
    mask: Tensor  # (B, N) bool, True at cells inside the video
    duration_s: Tensor  # (B,) seconds covered by the N cells that are not masked


class PointAnswers(NamedTuple):
    """What a localizer that regresses moments from points of time says there, one point per candidate, for its losses."""

    time_s: Tensor  # (B, M)
    reach_s: Tensor  # (B, M, 2), above and up to which the farther end of a moment may lie to be this point's
    foreground: Tensor  # (B, M) logits that the point lies in a true moment
    centreness: Tensor  # (B, M) logits, high where it lies in the middle of one


class Candidates(NamedTuple):
    """What every localizer returns. Map models flatten their valid cells, DETR models give their queries."""

    spans: Tensor  # (B, M, 2) seconds
    scores: Tensor  # (B, M) logits, higher is better
    valid: Tensor  # (B, M) bool
    features: Tensor | None = None  # (B, M, E), one vector per candidate, for losses on embeddings
    saliency: Tensor | None = None  # (B, N) logits that a cell lies inside a true moment
    query: Tensor | None = None  # (B, E), the sentence in the space of `features`
    auxiliary: tuple["Candidates", ...] = ()  # what earlier layers answered, for losses on every layer
    points: PointAnswers | None = None  # where each candidate was regressed from, for losses on points


class Targets(NamedTuple):
    """The true moments of a batch."""

    spans: Tensor  # (B, G, 2) seconds, zero where masked
    mask: Tensor  # (B, G) bool
    video_index: Tensor  # (B,) equal where two rows are of one video
    text_index: Tensor  # (B,) equal where two rows have one sentence


class Labels(NamedTuple):
    """The classes of the rows of a batch, (B,) int64 from 0 on, by four readings of what a class of sentences is."""

    pair: Tensor  # one class per sentence
    verb: Tensor  # one class per main verb
    query_cluster: Tensor  # one class per cluster of sentence vectors
    video: Tensor  # one class per video


@dataclass(frozen=True, slots=True)
class LossDims:
    """What a loss with parameters of its own learns from the model and the training data: widths and numbers of classes."""

    embedding_dim: int | None  # E of `moments`, `queries` and candidates' features; none: this model gives no embeddings
    num_labels: Mapping[str, int]  # by field of `Labels`


@dataclass(frozen=True, slots=True)
class LossContext:
    """Everything a loss term may read; a term names the fields and properties it takes in `inputs`."""

    candidates: Candidates | None = None
    targets: Targets | None = None
    labels: Labels | None = None
    duration_s: Tensor | None = None  # (B,) of the videos
    other_candidates: Candidates | None = None  # for the same sentences in another video of the batch each
    other_differs: Tensor | None = None  # (B,) bool, False where the batch held no other video
    iou: Tensor | None = None  # (B, M), best IoU of a candidate with a true moment
    cell_mask: Tensor | None = None  # (B, N) bool, True at cells inside the video
    inside: Tensor | None = None  # (B, N), share of a cell that lies inside a true moment
    moments: Tensor | None = None  # (B, E) embeddings; row i matches row i of `queries`
    queries: Tensor | None = None  # (B, E)
    false_negatives: Tensor | None = None  # (B, B) bool, pairs off the diagonal that are matches too
    epoch: float | None = None  # epochs of training done, with the share of the present one

    @property
    def scores(self) -> Tensor | None:
        """The candidates' logits, (B, M)."""
        return self.candidates.scores if self.candidates else None

    @property
    def valid(self) -> Tensor | None:
        """Which candidates lie inside the video, (B, M) bool."""
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
