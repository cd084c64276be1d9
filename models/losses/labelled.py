"""The rows of labelled embeddings that metric losses read: which vectors, and what makes two of them one class.

Letters: B rows of a batch, M candidates, E embedding width, R vectors that are read.
"""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Self

import torch
from pydantic import Field, PositiveInt, model_validator
from torch import Tensor

from corpus.params import Params
from models.exchange.batches import Labels, LossDims
from models.losses.base import LearnedTermParams, LossTerm, TermParams

On = Literal["moments", "queries", "pairs", "candidates"]
Kind = Literal["pair", "verb", "query_cluster", "video"]

FIELDS: dict[On, tuple[str, ...]] = {
    "moments": ("moments",),
    "queries": ("queries",),
    "pairs": ("moments", "queries"),
    "candidates": ("features", "valid", "iou"),
}


class LabelledRows(NamedTuple):
    """Vectors with their classes."""

    vectors: Tensor  # (R, E)
    classes: Tensor  # (R,)
    sentences: Tensor  # (R,), equal where two vectors belong to one sentence
    batch_rows: Tensor  # (R,), the row of the batch that each vector comes from


@dataclass(frozen=True, slots=True)
class Reading:
    """Which vectors of a batch are read, and under which labels.

    `on`: moments | queries | pairs (both, under one label a row) | candidates (every valid candidate under its row's
    label; of those only the ones whose IoU is at least `min_iou`, and of those the `per_row` best of a row).
    """

    on: On
    labels: Kind
    min_iou: float | None = None
    per_row: int | None = None

    @property
    def inputs(self) -> tuple[str, ...]:
        """The fields of `LossContext` that `read` takes, in order."""
        return (*FIELDS[self.on], "labels")

    def read(self, *inputs: Any) -> LabelledRows:
        """Return the vectors that a batch holds, none where no candidate is good enough."""
        *parts, labels = inputs
        if self.on == "candidates":
            features, valid, iou = parts
            return self._read_candidates(features, valid, iou, labels)
        vectors = torch.cat(parts)
        return self._label(vectors, labels, torch.arange(len(labels.pair), device=vectors.device).repeat(len(parts)))

    def _read_candidates(self, features: Tensor, valid: Tensor, iou: Tensor, labels: Labels) -> LabelledRows:
        keep = valid if self.min_iou is None else valid & (iou >= self.min_iou)  # (B, M)
        if self.per_row is not None and self.per_row < iou.shape[1]:
            best = iou.masked_fill(~keep, -1.0).topk(self.per_row, dim=1).indices
            keep = keep & torch.zeros_like(keep).scatter(1, best, True)
        return self._label(features[keep], labels, keep.nonzero()[:, 0])

    def _label(self, vectors: Tensor, labels: Labels, batch_rows: Tensor) -> LabelledRows:
        classes: Tensor = getattr(labels, self.labels)
        return LabelledRows(vectors, classes[batch_rows], labels.pair[batch_rows], batch_rows)


class LabelledTerm(LossTerm):
    """A loss on labelled embeddings."""

    def __init__(self, reading: Reading) -> None:
        """Store what is read."""
        super().__init__()
        self.reading = reading
        self.inputs = reading.inputs

    def forward(self, *inputs: Any) -> Tensor:
        """Return a scalar, 0 where there is no vector to read."""
        return evaluate_rows(self.compute, self.reading.read(*inputs))

    @abstractmethod
    def compute(self, rows: LabelledRows) -> Tensor:
        """Return a scalar from at least one vector."""


def evaluate_rows(compute: Callable[[LabelledRows], Tensor], rows: LabelledRows) -> Tensor:
    """Return a loss of the rows, 0 where there are none."""
    return compute(rows) if len(rows.vectors) else rows.vectors.sum()


class LabelledValues(Params):
    """What all losses on labelled embeddings share."""

    on: On = "pairs"
    labels: Kind = "verb"
    min_iou: float | None = Field(default=None, ge=0, le=1)  # of candidates that are read; none: all valid ones

    @model_validator(mode="after")
    def _check_candidates(self) -> Self:
        if self.min_iou is not None and self.on != "candidates":
            raise ValueError(f"min_iou chooses candidates: it needs on: candidates, got on={self.on}, min_iou={self.min_iou}")
        return self


class PairwiseTermParams(LabelledValues, TermParams):
    """Schema of losses that compare vectors with each other, so cost and memory grow with the cube of their number."""

    candidates_per_row: PositiveInt = 4  # with on: candidates, the best of a row at most

    def choose_reading(self) -> Reading:
        """Return what the loss reads."""
        return Reading(self.on, self.labels, self.min_iou, self.candidates_per_row)


class ProxyTermParams(LabelledValues, LearnedTermParams):
    """Schema of losses that compare vectors with learned ones, the proxies of the classes."""

    def choose_reading(self) -> Reading:
        """Return what the loss reads."""
        return Reading(self.on, self.labels, self.min_iou)

    def count_classes(self, dims: LossDims) -> int:
        """Return how many classes the training data have."""
        return dims.num_labels[self.labels]
