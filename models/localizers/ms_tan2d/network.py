"""MS-2D-TAN: span maps at several temporal scales, each compared with the sentence and convolved.

Letters: B rows, T clips, P places of a clip, N cells, S starts and A lengths of one scale, M candidate spans, U distinct
spans, L words, D input width, H hidden width.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.contracts.batches import Candidates, InputDims, TextFeatures, VideoFeatures
from models.contracts.roles import Localizer
from models.layers.candidate_map import SpanGrid
from models.layers.clip_pool import pool_clips
from models.layers.sentence_lstm import MeanSentenceLSTM
from models.layers.streams import join_dims, join_streams
from models.localizers.ms_tan2d.multiscale_map import (
    GatedMapConvolution,
    MultiScaleProposals,
    Scale,
    find_same_moments,
    list_moments,
    plan_scales,
)
from models.localizers.ms_tan2d.values import MultiScaleTan2DValues


class ScaleHead(nn.Module):
    """The layers and the prediction of one scale."""

    last: Tensor
    exists: Tensor
    places: Tensor

    def __init__(self, scale: Scale, *, hidden_dim: int, kernel_size: int, num_layers: int) -> None:
        """Build the layers; the cells of the map are buffers, not weights."""
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

    Source: Zhang et al., TPAMI 2021 (arXiv:2012.02646), and the authors' code. A span can be a candidate of several scales.
    As in their code, training uses all of them, and evaluation mode returns each span once with its best score.
    Deviations: places of a clip and clips after the end of a video are treated as in `models.localizers.tan2d`; videos are
    resampled to the clips, whereas the authors slide a window over videos of Charades-STA and TACoS; scores are logits; batch
    normalisation uses its running statistics if a training batch holds only one value per channel; `MeanSentenceLSTM` reads
    sentences; a loss over candidates weighs all equally, whereas theirs sums one mean per scale.
    """

    same: Tensor

    def __init__(self, params: MultiScaleTan2DValues, dims: InputDims) -> None:
        """Build for features and words of these widths."""
        super().__init__()
        hidden_dim, num_map_cells = params.hidden_dim, params.num_cells // params.clips_per_cell
        scales = plan_scales(num_map_cells, params.num_lengths, params.num_scales)
        moments = list_moments(scales)
        different, same = find_same_moments(moments)
        self.streams = params.streams
        self.num_cells = params.num_cells
        self.embedding_dim = hidden_dim
        self.grid = SpanGrid(moments, num_cells=num_map_cells, clips_per_cell=params.clips_per_cell)
        self.merged_grid = SpanGrid(different, num_cells=num_map_cells, clips_per_cell=params.clips_per_cell)
        self.register_buffer("same", torch.from_numpy(same), persistent=False)  # (U, occurrences)
        self.clip_conv = nn.Linear(join_dims(dims, params.streams).dim, hidden_dim)
        self.proposals = MultiScaleProposals(scales, hidden_dim, params.proposals)
        self.text_lstm = MeanSentenceLSTM(dims.text_dim, hidden_dim=hidden_dim, num_layers=params.lstm_layers)
        self.text_linear = nn.Linear(hidden_dim, hidden_dim)
        self.map_linear = nn.Linear(hidden_dim, hidden_dim)
        self.heads = nn.ModuleList(
            ScaleHead(scale, hidden_dim=hidden_dim, kernel_size=params.kernel_size, num_layers=params.num_layers)
            for scale in scales
        )

    def forward(self, video: VideoFeatures, text: TextFeatures) -> Candidates:
        """Return the candidates of all scales in training, and each span once in evaluation, with the features of its cell.

        Raises:
            ValueError: when the number of clips differs from `num_cells`.
        """
        features = join_streams(video.streams, self.streams)  # (B, T, P, D)
        if features.shape[1] != self.num_cells:
            raise ValueError(f"this MS-2D-TAN reads {self.num_cells} clips per video, got {features.shape[1]}; resample them")
        cells = pool_clips(self.clip_conv(features), video.mask, self.grid.clips_per_cell)  # (B, H, N)
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
        """Keep the values of the best scale for each span: (B, M), (B, M, H) -> (B, U), (B, U, H)."""
        best, scale = scores[:, self.same].max(-1)  # (B, U)
        place = self.same.expand(scores.shape[0], -1, -1).gather(2, scale[..., None])  # (B, U, 1)
        return best, features.gather(1, place.expand(-1, -1, features.shape[-1]))
