"""Labelled embeddings, the input of metric losses: choice of vectors, and definition of their classes.

Letters: B rows of a batch, M candidates, E embedding width, R chosen vectors.
"""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Self

import torch
from pydantic import Field, PositiveInt, model_validator
from torch import Tensor

from corpus.params import Params
from models.contracts.batches import Labels, LossDims
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
    sentences: Tensor  # (R,), equal for vectors of the same sentence
    batch_rows: Tensor  # (R,), the batch row of each vector


@dataclass(frozen=True, slots=True)
class Reading:
    """Choice of the vectors of a batch and of their labels.

    `on`: moments | queries | pairs (both, with one label per row) | candidates (valid candidates with the label of their row,
    limited to IoU >= `min_iou` and to the `per_row` best of a row).
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
        """Return the chosen vectors of a batch, possibly none."""
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
    """Base of losses on labelled embeddings."""

    def __init__(self, reading: Reading) -> None:
        """Store the choice of vectors."""
        super().__init__()
        self.reading = reading
        self.inputs = reading.inputs

    def forward(self, *inputs: Any) -> Tensor:
        """Return a scalar, 0 without any vector."""
        return evaluate_rows(self.compute, self.reading.read(*inputs))

    @abstractmethod
    def compute(self, rows: LabelledRows) -> Tensor:
        """Return a scalar from at least one vector."""


def evaluate_rows(compute: Callable[[LabelledRows], Tensor], rows: LabelledRows) -> Tensor:
    """Return a loss of the rows, 0 without rows."""
    return compute(rows) if len(rows.vectors) else rows.vectors.sum()


class LabelledValues(Params):
    """Values shared by all losses on labelled embeddings."""

    on: On = "pairs"
    labels: Kind = "verb"
    min_iou: float | None = Field(default=None, ge=0, le=1)  # of the chosen candidates; null: all valid ones

    @model_validator(mode="after")
    def _check_candidates(self) -> Self:
        if self.min_iou is not None and self.on != "candidates":
            raise ValueError(f"min_iou chooses candidates: it needs on: candidates, got on={self.on}, min_iou={self.min_iou}")
        return self


class PairwiseTermParams(LabelledValues, TermParams):
    """Schema of losses that compare vectors with each other; cost and memory grow with the cube of their number."""

    candidates_per_row: PositiveInt = 4  # with on: candidates, the maximum number of best candidates of a row

    def choose_reading(self) -> Reading:
        """Return the choice of vectors."""
        return Reading(self.on, self.labels, self.min_iou, self.candidates_per_row)


class ProxyTermParams(LabelledValues, LearnedTermParams):
    """Schema of losses that compare vectors with learned proxies of the classes."""

    def choose_reading(self) -> Reading:
        """Return the choice of vectors."""
        return Reading(self.on, self.labels, self.min_iou)

    def count_classes(self, dims: LossDims) -> int:
        """Return the number of classes in the training data."""
        return dims.num_labels[self.labels]
