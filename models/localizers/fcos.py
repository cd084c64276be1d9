"""FCOS along time: every cell says whether it lies in the moment, how central, and how far the moment's ends are.

Letters: B rows, N cells, P places, M points (cells of all levels), D width of a clip, H hidden width.
"""

import math
from typing import Literal, NamedTuple, Self

import torch
from pydantic import Field, PositiveFloat, PositiveInt, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from models.exchange.batches import Candidates, InputDims, PointAnswers, TextFeatures, VideoFeatures
from models.exchange.roles import Localizer, LocalizerParams
from models.layers.gated_convolution import GatedConvolution
from models.layers.graph import NeckParams, NoNeckParams
from models.layers.point_targets import combine_logits
from models.layers.pyramid import PointGrid, TemporalPyramid, halve_masks
from models.layers.sentence_lstm import SentenceLSTM

PRIOR = 0.01  # probability of the foreground before training, as in FCOS
MAX_EXPONENT = 5.0  # of a distance in strides: between e^-5 and e^5


class PointHead(nn.Module):
    """One tower for all levels of a pyramid, with a scale of its own for each level's distances."""

    def __init__(self, channels: int, num_levels: int) -> None:
        """Build the layers."""
        super().__init__()
        self.tower = nn.Conv1d(channels, channels, 3, padding=1)
        self.foreground = nn.Conv1d(channels, 1, 1)
        self.centreness = nn.Conv1d(channels, 1, 1)
        self.distances = nn.Conv1d(channels, 2, 1)
        self.scales = nn.Parameter(torch.ones(num_levels))
        nn.init.constant_(self.foreground.bias, -math.log((1 - PRIOR) / PRIOR))  # type: ignore[arg-type]

    def forward(self, levels: list[Tensor]) -> "HeadOutputs":
        """Return what the levels (B, C, N / 2^l) say, one after another."""
        features = [F.relu(self.tower(level)) for level in levels]
        exponents = [self.distances(level) * scale for level, scale in zip(features, self.scales, strict=True)]
        together = torch.cat(features, dim=-1)  # (B, C, M)
        return HeadOutputs(
            features=together.transpose(1, 2),
            foreground=self.foreground(together)[:, 0],
            centreness=self.centreness(together)[:, 0],
            distances=torch.cat(exponents, dim=-1).transpose(1, 2).clamp(-MAX_EXPONENT, MAX_EXPONENT).exp(),
        )


class HeadOutputs(NamedTuple):
    """What the head says at every point."""

    features: Tensor  # (B, M, H)
    foreground: Tensor  # (B, M) logits
    centreness: Tensor  # (B, M) logits
    distances: Tensor  # (B, M, 2) to both ends, in strides of the point's level


class FCOS(Localizer):
    """Anchor-free regression of a moment's ends from every cell of a pyramid, on features that the sentence has shaped.

    Source: Tian et al. 2019 (arXiv:1904.01355) along time, as dense regression networks do it for sentences (Zeng et al.
    2020, arXiv:2004.03545). A point's distances are exp(scale x) strides of its level, its score is the logit of
    foreground times centreness.
    Deviations from FCOS: one tower of one layer for all three answers; ends stay within the video; centreness multiplies
    the foreground here, not after non-maximum suppression. From the dense regression network: the sentence multiplies
    the places of each clip before the maximum over them, then gates convolutions along time; centreness as in FCOS where
    theirs is a learned IoU; scores are trained by the focal loss only, without their three steps.
    """

    def __init__(self, params: "FCOSParams", dims: InputDims) -> None:
        """Build for features and words of these widths."""
        super().__init__()
        hidden_dim = params.hidden_dim
        self.num_cells = params.num_cells
        self.embedding_dim = hidden_dim
        self.num_levels = params.num_levels
        self.points = PointGrid(params.num_cells, params.num_levels, reach=params.reach_cells)
        self.text_lstm = SentenceLSTM(dims.text_dim, hidden_dim=hidden_dim, num_layers=1)
        self.text_linear = nn.Linear(hidden_dim, hidden_dim)
        self.place_linear = nn.Linear(dims.feature_dim, hidden_dim)
        self.layers = nn.ModuleList(
            GatedConvolution(hidden_dim, text_dim=hidden_dim, kernel_size=params.kernel_size, dropout=params.dropout)
            for _ in range(params.num_layers)
        )
        self.neck = params.neck.build(hidden_dim)
        self.pyramid = TemporalPyramid(hidden_dim, params.num_levels)
        self.head = PointHead(hidden_dim, params.num_levels)

    def forward(self, video: VideoFeatures, text: TextFeatures) -> Candidates:
        """Return one candidate for every cell of every level."""
        sentence = self.text_lstm(text)  # (B, H)
        cells = self._read_cells(video, sentence)  # (B, N, H)
        masks = halve_masks(video.mask, self.num_levels)
        found = self.head(self.pyramid(cells.transpose(1, 2), masks))
        valid = self.points.find_valid(video.mask)
        num_inside = video.mask.sum(1).clamp_min(1)  # (B,)
        cell_s = video.duration_s / num_inside  # (B,)
        spans = self._decode(found.distances, num_inside) * cell_s[:, None, None]
        points = PointAnswers(
            time_s=self.points.centre * cell_s[:, None],
            reach_s=self.points.reach * cell_s[:, None, None],
            foreground=found.foreground,
            centreness=found.centreness,
        )
        scores = combine_logits(found.foreground, found.centreness)
        return Candidates(spans, scores, valid, features=found.features, query=sentence, points=points)

    def _read_cells(self, video: VideoFeatures, sentence: Tensor) -> Tensor:
        """Return the cells (B, N, H): the best place for the sentence (B, H), then gated convolutions and the neck."""
        mask = video.mask[..., None].to(video.features.dtype)  # (B, N, 1)
        query = self.text_linear(sentence)[:, None, None]
        cells = F.relu((self.place_linear(video.features) * query).max(dim=2).values) * mask
        for layer in self.layers:
            cells = layer(cells, sentence, mask)
        return cells * mask if self.neck is None else self.neck(cells * mask, video.mask)

    def _decode(self, distances: Tensor, num_inside: Tensor) -> Tensor:
        """Return spans in cells, (B, M, 2), within the video, from distances in strides (B, M, 2) and its cells (B,).

        In training the gradient passes the edge of the video: a span that is cut there can still learn to be shorter.
        """
        reach = distances * self.points.stride[:, None]
        spans = torch.stack([self.points.centre - reach[..., 0], self.points.centre + reach[..., 1]], dim=-1)
        edge = num_inside[:, None, None].to(spans.dtype)
        cut = torch.minimum(spans.clamp_min(0), edge)
        return spans + (cut - spans).detach() if self.training else cut


class FCOSParams(LocalizerParams):
    """Values of FCOS along time."""

    name: Literal["fcos"]
    num_cells: PositiveInt = 32
    num_levels: PositiveInt = 3  # of the pyramid; 1: none but the cells
    reach_cells: PositiveFloat = 4.0  # of the lowest level, to the farther end of a moment; it doubles with each level
    hidden_dim: PositiveInt = 128
    num_layers: PositiveInt = 3
    kernel_size: int = Field(default=5, ge=1)
    dropout: float = Field(default=0.1, ge=0, lt=1)
    neck: NeckParams = NoNeckParams()  # over the cells, before the pyramid

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.kernel_size % 2 == 0:
            raise ValueError(f"fcos needs an odd kernel_size, got {self.kernel_size}")
        PointGrid(self.num_cells, self.num_levels, reach=self.reach_cells)
        return self

    def build(self, dims: InputDims) -> FCOS:
        """Return an untrained FCOS."""
        return FCOS(self, dims)
