"""Moment-DETR: a transformer reads clips and words together, and a few learned queries answer with moments.

Letters: B rows, N cells, P places of a clip, L words, Q queries (the candidates), D widths, H hidden width, E embedding width.
"""

from typing import Self

import torch
from pydantic import Field, NonNegativeInt, PositiveInt, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from models.exchange.batches import Candidates, InputDims, TextFeatures, VideoFeatures
from models.exchange.roles import Localizer, LocalizerParams
from models.layers.detr import DetrTransformer, compute_sine_positions

MIN_WIDTH = 1e-3  # of a span, as a share of the video: a span is never empty


class InputProjection(nn.Module):
    """Two layers, each with normalisation and dropout before it, that take words or the places of clips to one width."""

    def __init__(self, input_dim: int, hidden_dim: int, dropout: float) -> None:
        """Build the layers."""
        super().__init__()
        self.enter = nn.Sequential(nn.LayerNorm(input_dim), nn.Dropout(dropout), nn.Linear(input_dim, hidden_dim))
        self.leave = nn.Sequential(nn.LayerNorm(hidden_dim), nn.Dropout(dropout), nn.Linear(hidden_dim, hidden_dim))

    def forward(self, places: Tensor) -> Tensor:
        """Return the best of the places after the first layer, rectified, then projected: (B, N, P, D) -> (B, N, H)."""
        entered = self.enter(places).max(dim=2).values
        projected: Tensor = self.leave(F.relu(entered))
        return projected


class MomentDETR(Localizer):
    """Moment-DETR: spans as a set, their foreground logits, and a saliency logit per cell.

    Source: Lei et al., NeurIPS 2021 (arXiv:2107.09609), and the authors' code. A candidate's score is the difference of its
    foreground and background logits, so its sigmoid is their softmax. Deviations: where an encoder keeps P places, the
    first projection sees every place and the maximum over places goes into its ReLU; spans are clipped to the video in the
    answer, not afterwards, with gradients as if they were not (a query outside the video would never come back), and are
    at least a thousandth of the video long; padded words count in nothing, where theirs enter the alignment.
    """

    def __init__(self, params: "MomentDETRValues", dims: InputDims) -> None:
        """Build for features and words of these widths."""
        super().__init__()
        hidden_dim = params.hidden_dim
        self.num_cells = params.num_cells
        self.embedding_dim = params.align_dim or None
        self.video_projection = InputProjection(dims.feature_dim + 2, hidden_dim, params.input_dropout)
        self.text_projection = InputProjection(dims.text_dim, hidden_dim, params.input_dropout)
        self.transformer = DetrTransformer(
            hidden_dim,
            num_queries=params.num_queries,
            num_layers=params.num_layers,
            num_heads=params.num_heads,
            feedforward_dim=params.feedforward_dim,
            dropout=params.dropout,
        )
        self.span = nn.Sequential(
            nn.Linear(hidden_dim, hidden_dim), nn.ReLU(), nn.Linear(hidden_dim, hidden_dim), nn.ReLU(), nn.Linear(hidden_dim, 2)
        )
        self.foreground = nn.Linear(hidden_dim, 2)  # foreground, background
        self.saliency = nn.Linear(hidden_dim, 1)
        self.align = nn.ModuleList(nn.Linear(hidden_dim, params.align_dim) for _ in range(2 if params.align_dim else 0))

    def forward(self, video: VideoFeatures, text: TextFeatures) -> Candidates:
        """Return the last decoder layer's answer, with saliency, and those of the earlier layers as `auxiliary`.

        With `align_dim`, `features` are the queries' unit vectors and `query` is the sum of the words' unit vectors: their
        dot product is the source's alignment before its temperature.
        """
        cells = self.video_projection(_add_endpoints(video))  # (B, N, H)
        words = self.text_projection(F.normalize(text.tokens, dim=-1)[:, :, None])  # (B, L, H)
        positions = torch.cat([compute_sine_positions(video.mask, cells.shape[-1]), torch.zeros_like(words)], dim=1)
        mask = torch.cat([video.mask, text.mask], dim=1)  # (B, N + L)
        layers, memory = self.transformer(torch.cat([cells, words], dim=1), positions, mask)
        query = self._embed_sentence(memory[:, cells.shape[1] :], text.mask)
        *earlier, last = [self._answer(hidden, query, video.duration_s) for hidden in layers]
        saliency = self.saliency(memory[:, : cells.shape[1]])[..., 0]  # (B, N)
        return last._replace(saliency=saliency, auxiliary=tuple(earlier))

    def _embed_sentence(self, words: Tensor, mask: Tensor) -> Tensor | None:
        """Return the sum of the words' unit vectors, (B, E), where there is an alignment: words (B, L, H), mask (B, L)."""
        if not self.align:
            return None
        return (F.normalize(self.align[1](words), dim=-1) * mask[..., None]).sum(1)

    def _answer(self, hidden: Tensor, query: Tensor | None, duration_s: Tensor) -> Candidates:
        """Read spans and scores off what the queries hold, (B, Q, H)."""
        foreground, background = self.foreground(hidden).unbind(-1)  # (B, Q)
        spans = clip_spans(self.span(hidden).sigmoid()) * duration_s[:, None, None]
        features = F.normalize(self.align[0](hidden), dim=-1) if self.align else None
        valid = torch.ones_like(foreground, dtype=torch.bool)
        return Candidates(spans, foreground - background, valid, features=features, query=query)


def clip_spans(spans_cxw: Tensor) -> Tensor:
    """Return starts and ends in [0, 1] from centres and widths (B, Q, 2) in it; gradients are those of unclipped spans."""
    centre, width = spans_cxw.unbind(-1)
    half = width.clamp_min(MIN_WIDTH) / 2
    spans = torch.stack([centre - half, centre + half], dim=-1)
    return spans.clamp(0, 1).detach() + (spans - spans.detach())


def _add_endpoints(video: VideoFeatures) -> Tensor:
    """Return unit features with the start and end of their cell as shares of the video: (B, N, P, D) -> (B, N, P, D + 2)."""
    index = torch.arange(video.features.shape[1], device=video.features.device)
    edges = torch.stack([index, index + 1], dim=-1) / video.mask.sum(1).clamp_min(1)[:, None, None]  # (B, N, 2)
    endpoints = edges[:, :, None].expand(-1, -1, video.features.shape[2], -1).to(video.features.dtype)
    return torch.cat([F.normalize(video.features, dim=-1), endpoints], dim=-1) * video.mask[..., None, None]


class MomentDETRValues(LocalizerParams):
    """Values of Moment-DETR; presets hold those of the published configuration."""

    num_cells: PositiveInt = 32
    num_queries: PositiveInt = 10
    num_layers: PositiveInt = 2  # of the encoder, and of the decoder
    hidden_dim: PositiveInt = Field(default=64, multiple_of=2)
    feedforward_dim: PositiveInt = 256
    num_heads: PositiveInt = 4
    dropout: float = Field(default=0.1, ge=0, lt=1)  # in the transformer
    input_dropout: float = Field(default=0.1, ge=0, lt=1)  # before each layer of the projections
    align_dim: NonNegativeInt = 0  # width E of the vectors of queries and words; 0: none

    @model_validator(mode="after")
    def _check_heads(self) -> Self:
        if self.hidden_dim % self.num_heads:
            raise ValueError(
                f"moment_detr needs hidden_dim to be a multiple of num_heads, got {self.hidden_dim}, {self.num_heads}"
            )
        return self

    def build(self, dims: InputDims) -> MomentDETR:
        """Return an untrained Moment-DETR."""
        return MomentDETR(self, dims)
