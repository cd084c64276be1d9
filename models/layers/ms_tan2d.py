"""MS-2D-TAN: maps over the spans of a video at several temporal scales, each compared with the sentence and convolved.

Letters: B rows, T clips, P places of a clip, N cells, S starts and A lengths of one scale, M candidate spans, U different
ones, L words, D input width, H hidden width.
"""

from typing import Literal, Self

import torch
from pydantic import Field, PositiveInt, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from models.exchange.batches import Candidates, InputDims, TextFeatures, VideoFeatures
from models.exchange.roles import Localizer, LocalizerParams
from models.layers.candidate_map import SpanGrid
from models.layers.clip_pool import pool_clips
from models.layers.multiscale_map import (
    GatedMapConvolution,
    MultiScaleProposals,
    Scale,
    find_same_moments,
    list_moments,
    plan_scales,
)
from models.layers.sentence_lstm import MeanSentenceLSTM


class ScaleHead(nn.Module):
    """What one scale has for itself: the layers over its map and its prediction."""

    last: Tensor
    exists: Tensor
    places: Tensor

    def __init__(self, scale: Scale, *, hidden_dim: int, kernel_size: int, num_layers: int) -> None:
        """Build the layers; what the map's places stand for are no weights."""
        super().__init__()
        last = torch.from_numpy(scale.list_cells()[..., 1])
        num_cells = scale.num_starts * scale.unit
        self.register_buffer("last", last.clamp_max(num_cells - 1), persistent=False)  # (S, A) cells
        self.register_buffer("exists", last < num_cells, persistent=False)  # (S, A)
        self.register_buffer("places", torch.from_numpy(scale.find_existing()), persistent=False)  # (M of this scale,)
        self.layers = nn.ModuleList(GatedMapConvolution(hidden_dim, kernel_size) for _ in range(num_layers))
        self.predict = nn.Linear(hidden_dim, 1)

    def forward(self, fused: Tensor, inside: Tensor) -> tuple[Tensor, Tensor]:
        """Return scores (B, M of this scale) and features (B, M, H) of a fused map (B, H, S, A); `inside` is (B, N) bool."""
        found = fused * (inside[:, self.last] & self.exists)[:, None]
        for layer in self.layers:
            found = layer(found)
        features = found.flatten(2)[..., self.places].transpose(1, 2)  # (B, M of this scale, H)
        return self.predict(features)[..., 0], features


class MultiScaleTan2D(Localizer):
    """Multi-scale 2D Temporal Adjacent Network.

    Source: Zhang et al., TPAMI 2021 (arXiv:2012.02646), and the authors' code. One span is a candidate of several scales;
    as in their code all of them are trained, and in evaluation mode each span is given once, with its best score.
    Deviations: places of a clip and clips after the end of a video are treated as by `models.layers.tan2d`; videos are
    resampled to the clips, where the authors slide a window over those of Charades-STA and TACoS; scores are logits; batch
    normalisation takes its running statistics where a training batch holds one value per channel; sentences are read as
    `MeanSentenceLSTM` says; a loss over the candidates weighs them alike, where theirs sums one mean per scale.
    """

    same: Tensor

    def __init__(self, params: "MultiScaleTan2DValues", dims: InputDims) -> None:
        """Build for features and words of these widths."""
        super().__init__()
        hidden_dim, num_map_cells = params.hidden_dim, params.num_cells // params.clips_per_cell
        scales = plan_scales(num_map_cells, params.num_lengths, params.num_scales)
        moments = list_moments(scales)
        different, same = find_same_moments(moments)
        self.num_cells = params.num_cells
        self.embedding_dim = hidden_dim
        self.grid = SpanGrid(moments, num_cells=num_map_cells, clips_per_cell=params.clips_per_cell)
        self.merged_grid = SpanGrid(different, num_cells=num_map_cells, clips_per_cell=params.clips_per_cell)
        self.register_buffer("same", torch.from_numpy(same), persistent=False)  # (U, occurrences)
        self.clip_conv = nn.Linear(dims.feature_dim, hidden_dim)
        self.proposals = MultiScaleProposals(scales, hidden_dim, params.proposals)
        self.text_lstm = MeanSentenceLSTM(dims.text_dim, hidden_dim=hidden_dim, num_layers=params.lstm_layers)
        self.text_linear = nn.Linear(hidden_dim, hidden_dim)
        self.map_linear = nn.Linear(hidden_dim, hidden_dim)
        self.heads = nn.ModuleList(
            ScaleHead(scale, hidden_dim=hidden_dim, kernel_size=params.kernel_size, num_layers=params.num_layers)
            for scale in scales
        )

    def forward(self, video: VideoFeatures, text: TextFeatures) -> Candidates:
        """Return the candidates of all scales in training, and each span once in evaluation, with features of its map cell.

        Raises:
            ValueError: when the video has another number of clips.
        """
        if video.features.shape[1] != self.num_cells:
            raise ValueError(f"this MS-2D-TAN reads {self.num_cells} clips a video, got {video.features.shape[1]}; resample them")
        cells = pool_clips(self.clip_conv(video.features), video.mask, self.grid.clips_per_cell)  # (B, H, N)
        inside = self.grid.find_cells(video.mask)  # (B, N)
        sentence = self.text_linear(self.text_lstm(text))  # (B, H)
        maps = self.proposals(cells, inside)
        found = [head(self._fuse(proposals, sentence), inside) for proposals, head in zip(maps, self.heads, strict=True)]
        scores, features = (torch.cat(parts, dim=1) for parts in zip(*found, strict=True))  # (B, M), (B, M, H)
        grid = self.grid
        if not self.training:
            grid = self.merged_grid
            scores, features = self._merge(scores, features)
        spans = grid.compute_spans(video.mask, video.duration_s)
        return Candidates(spans, scores, grid.find_valid(video.mask), features=features, query=sentence)

    def _fuse(self, proposals: Tensor, sentence: Tensor) -> Tensor:
        """Compare a map (B, H, S, A) with the sentence (B, H): (B, H, S, A), unit length over H."""
        projected = self.map_linear(proposals.permute(0, 2, 3, 1))  # (B, S, A, H)
        return F.normalize(sentence[:, None, None] * projected, dim=-1).permute(0, 3, 1, 2)

    def _merge(self, scores: Tensor, features: Tensor) -> tuple[Tensor, Tensor]:
        """Keep of each span what its best scale says: (B, M), (B, M, H) -> (B, U), (B, U, H)."""
        best, scale = scores[:, self.same].max(-1)  # (B, U)
        place = self.same.expand(scores.shape[0], -1, -1).gather(2, scale[..., None])  # (B, U, 1)
        return best, features.gather(1, place.expand(-1, -1, features.shape[-1]))


class MultiScaleTan2DValues(LocalizerParams):
    """Values of MS-2D-TAN; presets hold those of the published configurations."""

    num_cells: PositiveInt = 32  # clips T of its time axis
    clips_per_cell: PositiveInt = 1  # clips averaged into one cell of the finest map
    num_scales: PositiveInt = 3
    num_lengths: PositiveInt = 8  # of moments in each scale, in units of the scale
    proposals: Literal["conv", "pool"] = "conv"
    hidden_dim: PositiveInt = Field(default=64, multiple_of=2)
    num_layers: PositiveInt = 2
    kernel_size: int = Field(default=5, ge=1)
    lstm_layers: PositiveInt = 1

    @model_validator(mode="after")
    def _check_map(self) -> Self:
        if self.kernel_size % 2 == 0:
            raise ValueError(f"MS-2D-TAN needs an odd kernel_size, got {self.kernel_size}")
        if self.num_cells % self.clips_per_cell:
            raise ValueError(
                f"MS-2D-TAN averages whole cells: num_cells={self.num_cells} is no multiple of "
                f"clips_per_cell={self.clips_per_cell}"
            )
        plan_scales(self.num_cells // self.clips_per_cell, self.num_lengths, self.num_scales)
        return self

    def build(self, dims: InputDims) -> MultiScaleTan2D:
        """Return an untrained MS-2D-TAN."""
        return MultiScaleTan2D(self, dims)
