"""Similarity curve of a sentence over the cells of a video, and the base of the localizers that read moments off it.

Letters: B rows, N cells, P places of a cell, D width of the space of places and sentences, M = N (N + 1) / 2 spans of cells.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Annotated, Final, Literal, NamedTuple

import torch
from pydantic import AfterValidator, PositiveInt
from torch import Tensor

from models.contracts.batches import Candidates, InputDims, TextFeatures, VideoFeatures
from models.contracts.roles import Localizer, LocalizerParams
from models.layers.dense_grid import DenseGrid
from models.layers.place_alignment import compute_cell_cosines, compute_cell_scores, require_shared_space
from models.layers.streams import join_streams


def _check_is_odd(num_cells: int) -> int:
    if num_cells % 2 == 0:
        raise ValueError(f"a moving mean needs an odd number of cells, so that it is centred, got {num_cells}")
    return num_cells


OddCells = Annotated[PositiveInt, AfterValidator(_check_is_odd)]
Similarity = Literal["log_sum_exp", "cosine"]

_SIMILARITIES: Final[Mapping[Similarity, Callable[[Tensor, Tensor], Tensor]]] = {
    "log_sum_exp": compute_cell_scores,
    "cosine": compute_cell_cosines,
}
_SMALLEST_DEVIATION = 1e-4  # of a curve; a flatter one counts as constant


class Readout(Localizer, ABC):
    """Reads moments off the similarity curve. It has no weights; the validation split chooses its few values.

    The curve is the similarity of sentence and cell with which the encoders were trained (`models.layers.place_alignment`),
    standardised within each video.
    """

    def __init__(self, params: "ReadoutValues", dims: InputDims) -> None:
        """Build for places and sentences of one width.

        Raises:
            ValueError: when the widths differ, or a stream is missing.
        """
        super().__init__()
        require_shared_space("a readout", params.streams, dims)
        self.streams = params.streams
        self.num_cells = params.num_cells
        self.similarity = params.similarity
        self.smoothing_cells = params.smoothing_cells

    def forward(self, video: VideoFeatures, text: TextFeatures) -> Candidates:
        """Return the candidates of a subclass."""
        return self._answer(self._compare(video, text), video)

    @classmethod
    def answer_all(cls, localizers: Sequence[Localizer], video: VideoFeatures, text: TextFeatures) -> Iterator[Candidates]:
        """Yield the candidates of several readouts of one grid; each kind of similarity is computed once."""
        known: dict[Similarity, Tensor] = {}
        for localizer in localizers:
            assert isinstance(localizer, Readout)
            if localizer.similarity not in known:
                known[localizer.similarity] = localizer._compare(video, text)
            yield localizer._answer(known[localizer.similarity], video)

    @abstractmethod
    def find(self, curve: Tensor, video: VideoFeatures) -> Candidates:
        """Return the candidates of a curve (B, N) with mean 0 and deviation 1 over the cells inside the video, 0 elsewhere."""

    def _compare(self, video: VideoFeatures, text: TextFeatures) -> Tensor:
        """Return the similarity of each row's sentence with its cells, (B, N)."""
        return _SIMILARITIES[self.similarity](join_streams(video.streams, self.streams), text.pooled).float()

    def _answer(self, similarity: Tensor, video: VideoFeatures) -> Candidates:
        curve = standardise(smooth(similarity, video.mask, num_cells=self.smoothing_cells), video.mask)
        return self.find(curve, video)._replace(saliency=curve)


class Readings(NamedTuple):
    """A readout's scores and answers among all spans of the grid."""

    scores: Tensor  # (B, M), finite
    is_answer: Tensor  # (B, M) bool


class GridReadout(Readout):
    """Base of readouts that select and score spans of cells. A video without a selected span is itself the answer."""

    def __init__(self, params: "ReadoutValues", dims: InputDims) -> None:
        """Build for places and sentences of one width, with the grid of spans."""
        super().__init__(params, dims)
        self.grid = DenseGrid(params.num_cells)

    def find(self, curve: Tensor, video: VideoFeatures) -> Candidates:
        """Return all spans of the dense grid; only the answers are valid."""
        found = self.read(curve, video.mask, join_streams(video.streams, self.streams))
        is_answer = found.is_answer & self.grid.find_valid(video.mask)
        whole = (self.grid.first == 0) & (self.grid.last + 1 == video.mask.sum(1, keepdim=True))  # (B, M)
        valid = is_answer | (whole & ~is_answer.any(1, keepdim=True))
        return Candidates(self.grid.compute_spans(video.mask, video.duration_s), found.scores, valid)

    @abstractmethod
    def read(self, curve: Tensor, mask: Tensor, places: Tensor) -> Readings:
        """Return the answers among the spans of the grid.

        `curve` (B, N) has mean 0 and deviation 1 over the cells inside the video, and is 0 elsewhere. `mask` (B, N) bool marks
        the cells inside, which come first. `places` are the features (B, N, P, D). The caller drops answers that end outside.
        """


class ReadoutValues(LocalizerParams):
    """Values shared by all readouts."""

    num_cells: PositiveInt = 64
    similarity: Similarity = "cosine"  # as in CLIP; log_sum_exp over places is as in mil_nce
    smoothing_cells: OddCells = 1  # of the moving mean over the curve


def smooth(curve: Tensor, mask: Tensor, *, num_cells: int) -> Tensor:
    """Return the mean over `num_cells` cells centred at each, inside the video: (B, N), (B, N) bool -> (B, N)."""
    if num_cells == 1:
        return curve
    axis = torch.arange(curve.shape[1], device=curve.device)
    near = ((axis[:, None] - axis[None, :]).abs() <= num_cells // 2).to(curve.dtype)  # (N, N)
    inside = mask.to(curve.dtype)
    return ((curve * inside) @ near) / (inside @ near).clamp_min(1)


def standardise(curve: Tensor, mask: Tensor) -> Tensor:
    """Return the curve with mean 0 and deviation 1 over the cells inside the video, 0 elsewhere: (B, N) -> (B, N)."""
    inside = mask.to(curve.dtype)
    count = inside.sum(1, keepdim=True).clamp_min(1)
    centred = (curve - (curve * inside).sum(1, keepdim=True) / count) * inside
    deviation = ((centred**2).sum(1, keepdim=True) / count).sqrt()
    return centred / deviation.clamp_min(_SMALLEST_DEVIATION)


def compute_excess(grid: DenseGrid, curve: Tensor, mask: Tensor, *, level: float) -> Tensor:
    """Return the sum over each span of the curve minus a level, from its mean (0) to its peak (1): (B, M)."""
    return grid.sum_inside(lower(curve, mask, level=level))


def lower(curve: Tensor, mask: Tensor, *, level: float) -> Tensor:
    """Return a standardised curve minus `level` times its peak, 0 outside the video: (B, N), (B, N) bool -> (B, N)."""
    peak = curve.masked_fill(~mask, torch.finfo(curve.dtype).min).amax(1, keepdim=True)
    return (curve - level * peak) * mask
