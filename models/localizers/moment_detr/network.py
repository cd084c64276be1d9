"""Moment-DETR: a transformer over clips and words, with learned queries that predict moments.

Letters: B rows, N cells, P places of a clip, L words, Q queries (the candidates), D widths, H hidden width, E embedding width.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.contracts.batches import Candidates, InputDims, TextFeatures, VideoFeatures
from models.contracts.roles import Localizer
from models.layers.streams import join_dims, join_streams
from models.localizers.moment_detr.transformer import DetrTransformer, compute_sine_positions
from models.localizers.moment_detr.values import MomentDETRValues

MIN_WIDTH = 1e-3  # of a span, as a fraction of the video, so that spans are never empty


class InputProjection(nn.Module):
    """Projection of words or places of clips to one width: two layers, each after normalisation and dropout."""

    def __init__(self, input_dim: int, hidden_dim: int, dropout: float) -> None:
        """Build the layers."""
        super().__init__()
        self.enter = nn.Sequential(nn.LayerNorm(input_dim), nn.Dropout(dropout), nn.Linear(input_dim, hidden_dim))
        self.leave = nn.Sequential(nn.LayerNorm(hidden_dim), nn.Dropout(dropout), nn.Linear(hidden_dim, hidden_dim))

    def forward(self, places: Tensor) -> Tensor:
        """Return the rectified maximum over places after the first layer, then project: (B, N, P, D) -> (B, N, H)."""
        entered = self.enter(places).max(dim=2).values
        projected: Tensor = self.leave(F.relu(entered))
        return projected


class MomentDETR(Localizer):
    """Moment-DETR: a set of spans with foreground logits, and a saliency logit per cell.

    Source: Lei et al., NeurIPS 2021 (arXiv:2107.09609), and the authors' code. The score of a candidate is its foreground logit
    minus its background logit, so the sigmoid of the score is their softmax. Deviations: if an encoder keeps P places, the
    first projection reads every place and its ReLU receives the maximum over places; the network itself clips spans to the
    video, with the gradients of unclipped spans (otherwise a query outside the video would never return), and to a minimum
    length of a thousandth of the video; padded words are ignored, whereas theirs enter the alignment.
    """

    def __init__(self, params: MomentDETRValues, dims: InputDims) -> None:
        """Build for features and words of these widths."""
        super().__init__()
        hidden_dim = params.hidden_dim
        self.streams = params.streams
        self.num_cells = params.num_cells
        self.embedding_dim = params.align_dim or None
        self.video_projection = InputProjection(join_dims(dims, params.streams).dim + 2, hidden_dim, params.input_dropout)
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
        """Return the answer of the last decoder layer, with saliency, and the answers of earlier layers as `auxiliary`.

        With `align_dim`, `features` are the unit vectors of the queries and `query` is the sum of the unit vectors of words.
        Their dot product is the alignment of the paper before its temperature.
        """
        cells = self.video_projection(_add_endpoints(join_streams(video.streams, self.streams), video.mask))  # (B, N, H)
        words = self.text_projection(F.normalize(text.tokens, dim=-1)[:, :, None])  # (B, L, H)
        positions = torch.cat([compute_sine_positions(video.mask, cells.shape[-1]), torch.zeros_like(words)], dim=1)
        mask = torch.cat([video.mask, text.mask], dim=1)  # (B, N + L)
        layers, memory = self.transformer(torch.cat([cells, words], dim=1), positions, mask)
        query = self._embed_sentence(memory[:, cells.shape[1] :], text.mask)
        *earlier, last = [self._answer(hidden, query, video.duration_s) for hidden in layers]
        saliency = self.saliency(memory[:, : cells.shape[1]])[..., 0]  # (B, N)
        return last._replace(saliency=saliency, auxiliary=tuple(earlier))

    def _embed_sentence(self, words: Tensor, mask: Tensor) -> Tensor | None:
        """Return the sum of the unit vectors of words, (B, E), if the model has an alignment: words (B, L, H), mask (B, L)."""
        if not self.align:
            return None
        return (F.normalize(self.align[1](words), dim=-1) * mask[..., None]).sum(1)

    def _answer(self, hidden: Tensor, query: Tensor | None, duration_s: Tensor) -> Candidates:
        """Predict spans and scores from the states of the queries, (B, Q, H)."""
        foreground, background = self.foreground(hidden).unbind(-1)  # (B, Q)
        spans = clip_spans(self.span(hidden).sigmoid()) * duration_s[:, None, None]
        features = F.normalize(self.align[0](hidden), dim=-1) if self.align else None
        valid = torch.ones_like(foreground, dtype=torch.bool)
        return Candidates(spans, foreground - background, valid, features=features, query=query)


def clip_spans(spans_cxw: Tensor) -> Tensor:
    """Return starts and ends clipped to [0, 1] from centres and widths (B, Q, 2); gradients are those of unclipped spans."""
    centre, width = spans_cxw.unbind(-1)
    half = width.clamp_min(MIN_WIDTH) / 2
    spans = torch.stack([centre - half, centre + half], dim=-1)
    return spans.clamp(0, 1).detach() + (spans - spans.detach())


def _add_endpoints(features: Tensor, mask: Tensor) -> Tensor:
    """Return unit features with start and end of their cell as fractions of the video: (B, N, P, D) -> (B, N, P, D + 2).

    `mask` (B, N) is True at cells inside the video.
    """
    index = torch.arange(features.shape[1], device=features.device)
    edges = torch.stack([index, index + 1], dim=-1) / mask.sum(1).clamp_min(1)[:, None, None]  # (B, N, 2)
    endpoints = edges[:, :, None].expand(-1, -1, features.shape[2], -1).to(features.dtype)
    return torch.cat([F.normalize(features, dim=-1), endpoints], dim=-1) * mask[..., None, None]
