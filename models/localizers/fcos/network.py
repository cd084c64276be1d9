"""FCOS along time: every cell predicts whether it lies in the moment, its centreness, and the distances to both ends.

Letters: B rows, N cells, P places, M points (cells of all levels), D width of a clip, H hidden width.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.contracts.batches import Candidates, InputDims, PointAnswers, TextFeatures, VideoFeatures
from models.contracts.roles import Localizer
from models.layers.gated_convolution import GatedConvolution
from models.layers.point_targets import combine_logits
from models.layers.sentence_lstm import SentenceLSTM
from models.layers.streams import join_dims, join_streams
from models.localizers.fcos.pyramid import PointGrid, TemporalPyramid, halve_masks
from models.localizers.fcos.values import FCOSValues

PRIOR = 0.01  # probability of the foreground before training, as in FCOS
MAX_EXPONENT = 5.0  # limits a distance to e^-5 .. e^5 strides


class PointHead(nn.Module):
    """One tower for all levels of a pyramid, with a learned scale of distances per level."""

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
        """Return the outputs of the levels (B, C, N / 2^l), concatenated."""
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
    """The outputs of the head at every point."""

    features: Tensor  # (B, M, H)
    foreground: Tensor  # (B, M) logits
    centreness: Tensor  # (B, M) logits
    distances: Tensor  # (B, M, 2) to both ends, in strides of the level


class FCOS(Localizer):
    """Anchor-free regression of both ends of a moment from every cell of a pyramid, on sentence-conditioned features.

    Source: Tian et al. 2019 (arXiv:1904.01355) along time, as in dense regression networks for sentences (Zeng et al.
    2020, arXiv:2004.03545). Distances of a point are exp(scale x) strides of its level; its score is the logit of
    foreground times centreness.
    Deviations from FCOS: one tower of one layer for all three answers; ends stay within the video; centreness multiplies
    the foreground here, not after non-maximum suppression. From the dense regression network: the sentence multiplies
    the places of each clip before the maximum over them, then gates convolutions along time; centreness as in FCOS instead of
    a learned IoU; only the focal loss trains scores, without their three steps.
    """

    def __init__(self, params: FCOSValues, dims: InputDims) -> None:
        """Build for features and words of these widths."""
        super().__init__()
        hidden_dim = params.hidden_dim
        self.streams = params.streams
        self.num_cells = params.num_cells
        self.embedding_dim = hidden_dim
        self.num_levels = params.num_levels
        self.points = PointGrid(params.num_cells, params.num_levels, reach=params.reach_cells)
        self.text_lstm = SentenceLSTM(dims.text_dim, hidden_dim=hidden_dim, num_layers=1)
        self.text_linear = nn.Linear(hidden_dim, hidden_dim)
        self.place_linear = nn.Linear(join_dims(dims, params.streams).dim, hidden_dim)
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
        features = join_streams(video.streams, self.streams)  # (B, N, P, D)
        mask = video.mask[..., None].to(features.dtype)  # (B, N, 1)
        query = self.text_linear(sentence)[:, None, None]
        cells = F.relu((self.place_linear(features) * query).max(dim=2).values) * mask
        for layer in self.layers:
            cells = layer(cells, sentence, mask)
        return cells * mask if self.neck is None else self.neck(cells * mask, video.mask)

    def _decode(self, distances: Tensor, num_inside: Tensor) -> Tensor:
        """Return spans in cells, (B, M, 2), clipped to the video, from distances in strides (B, M, 2) and its cells (B,).

        In training, gradients pass through the clipping, so that a clipped span can still learn to be shorter.
        """
        reach = distances * self.points.stride[:, None]
        spans = torch.stack([self.points.centre - reach[..., 0], self.points.centre + reach[..., 1]], dim=-1)
        edge = num_inside[:, None, None].to(spans.dtype)
        cut = torch.minimum(spans.clamp_min(0), edge)
        return spans + (cut - spans).detach() if self.training else cut
