"""PlaceTAN: a span map over clips whose places are attended by the words of the query.

Letters: B rows, N cells, P places of a clip, L words, K slots, D width of places and words, C channels, M = N (N + 1) / 2.
"""

from typing import Literal

import torch
from pydantic import Field, PositiveInt
from torch import Tensor, nn
from torch.nn import functional as F

from models.contracts.batches import Candidates, InputDims, TextFeatures, VideoFeatures
from models.contracts.roles import Localizer, LocalizerParams
from models.layers.dense_grid import DenseGrid
from models.layers.gated_convolution import GatedConvolution
from models.layers.sentence_lstm import read_both_ways
from models.layers.streams import join_dims, join_streams


class TextSlots(nn.Module):
    """Groups the words of a sentence into a few slots in the space of word vectors, and a summary."""

    def __init__(self, text_dim: int, *, num_slots: int, hidden_dim: int) -> None:
        """Build the gates: a bidirectional LSTM weighs each word for each slot."""
        super().__init__()
        self.forwards = nn.LSTM(text_dim, hidden_dim // 2, batch_first=True)
        self.backwards = nn.LSTM(text_dim, hidden_dim // 2, batch_first=True)
        self.gates = nn.Linear(hidden_dim, num_slots)

    def forward(self, text: TextFeatures) -> tuple[Tensor, Tensor]:
        """Return slots (B, K, D) and a summary of the sentence (B, hidden_dim)."""
        states = read_both_ways(self.forwards, self.backwards, text.tokens, text.mask)  # (B, L, hidden_dim)
        mask = text.mask[..., None].to(states.dtype)
        gates = torch.sigmoid(self.gates(states)) * mask  # (B, L, K)
        summary = (states * mask).sum(1) / mask.sum(1).clamp_min(1)
        return gates.transpose(1, 2) @ text.tokens, summary


class SpanMap(nn.Module):
    """Scores every span (first, last) from its first cell, its last cell and the mean of the cells between."""

    def __init__(self, channels: int, map_channels: int) -> None:
        """Build the three projections and one 3x3 convolution over the map."""
        super().__init__()
        self.parts = nn.Linear(channels, 3 * map_channels)
        self.convolution = nn.Conv2d(map_channels, map_channels, 3, padding=1)
        self.score = nn.Conv2d(map_channels, 1, 1)

    def forward(self, cells: Tensor) -> Tensor:
        """Return the map of logits (B, N, N), first cell by last cell; values below the diagonal are meaningless."""
        first, last, inside = self.parts(cells).transpose(1, 2).chunk(3, dim=1)  # (B, C', N) each
        sums = F.pad(inside.cumsum(-1), (1, 0))  # (B, C', N + 1)
        length = torch.arange(cells.shape[1], device=cells.device)
        spans = (length[None, :] - length[:, None] + 1).clamp_min(1)  # (N, N) cells in a span
        mean = (sums[..., None, 1:] - sums[..., :-1, None]) / spans
        hidden = F.relu(first[..., :, None] + last[..., None, :] + mean) * (length[None, :] >= length[:, None])
        scores: Tensor = self.score(F.relu(self.convolution(hidden)) + hidden)
        return scores[:, 0]


class PlaceTAN(Localizer):
    """Localizer with word attention over the places of each clip, gated convolutions along time, and a light span map.

    For each slot k of the sentence and each cell, the slot's dot products with the cell's places give an attended
    place vector and a log-sum-exp score; both feed a stack of text-gated 1-D convolutions, and a map over spans is
    built from start, end and mean features (the map of 2D-TAN, arXiv:1912.03590, with a wide 1-D stage before a narrow
    map). Deviations from 2D-TAN: attention over places before pooling, mean instead of max inside a span, one map
    convolution, a per-cell inside/outside head (`Candidates.saliency`).

    Words attend to the places of the first stream. Each further stream, such as sound, is added as the mean of its places
    through a linear layer.
    """

    def __init__(self, params: "PlaceTANParams", dims: InputDims) -> None:
        """Build for places and words of equal width, aligned by the encoder.

        Raises:
            ValueError: when places of the first stream and words differ in width, or a stream is missing.
        """
        super().__init__()
        looked, *beside = params.streams
        feature_dim = join_dims(dims, [looked]).dim
        if feature_dim != dims.text_dim:
            raise ValueError(
                f"place_tan compares places with words: the width of {looked}, {feature_dim}, must equal "
                f"text_dim={dims.text_dim}; choose an aligned encoder (pretrain.objective=mil_nce) or another localizer"
            )
        self.streams = params.streams
        self.num_cells = params.num_cells
        self.slots = TextSlots(dims.text_dim, num_slots=params.num_slots, hidden_dim=params.text_hidden_dim)
        self.scale = nn.Parameter(torch.ones(params.num_slots))
        width = params.num_slots * (feature_dim + 1)
        self.enter = nn.Linear(width, params.hidden_dim)
        self.layers = nn.ModuleList(
            GatedConvolution(
                params.hidden_dim, text_dim=params.text_hidden_dim, kernel_size=params.kernel_size, dropout=params.dropout
            )
            for _ in range(params.num_layers)
        )
        self.inside = nn.Linear(params.hidden_dim, 1)
        self.span_map = SpanMap(params.hidden_dim, params.map_dim)
        self.grid = DenseGrid(params.num_cells)
        self.beside = nn.ModuleList(nn.Linear(join_dims(dims, [name]).dim, params.hidden_dim) for name in beside)

    def forward(self, video: VideoFeatures, text: TextFeatures) -> Candidates:
        """Return all N (N + 1) / 2 spans of the dense grid."""
        places = join_streams(video.streams, self.streams[:1])  # (B, N, P, D)
        mask = video.mask[..., None].to(places.dtype)  # (B, N, 1)
        slots, summary = self.slots(text)
        hidden = self.enter(self._look(places, slots, mask))  # (B, N, C)
        for name, linear in zip(self.streams[1:], self.beside, strict=True):
            hidden = hidden + linear(join_streams(video.streams, [name]).mean(dim=2))
        hidden = F.relu(hidden) * mask
        for layer in self.layers:
            hidden = layer(hidden, summary, mask)
        scores = self.span_map(hidden * mask)[:, self.grid.first, self.grid.last]  # (B, M)
        spans = self.grid.compute_spans(video.mask, video.duration_s)
        return Candidates(spans, scores, self.grid.find_valid(video.mask), saliency=self.inside(hidden)[..., 0])

    def _look(self, places: Tensor, slots: Tensor, mask: Tensor) -> Tensor:
        """Attend from each slot to the places of each cell: (B, N, P, D), (B, K, D) -> (B, N, K * (D + 1))."""
        match = torch.einsum("bnpd,bkd->bnkp", places, slots) * self.scale[:, None]
        attended = torch.einsum("bnkp,bnpd->bnkd", match.softmax(-1), places)
        scores = match.logsumexp(-1)  # (B, N, K)
        centre = (scores * mask).sum(1, keepdim=True) / mask.sum(1, keepdim=True).clamp_min(1)
        return torch.cat([attended.flatten(2), scores - centre], dim=-1)


class PlaceTANParams(LocalizerParams):
    """Values of PlaceTAN. Defaults suit half-minute videos with small frames."""

    name: Literal["place_tan"]
    num_cells: PositiveInt = 32
    num_slots: PositiveInt = 3
    text_hidden_dim: PositiveInt = Field(default=128, multiple_of=2)
    hidden_dim: PositiveInt = 128
    num_layers: PositiveInt = 4
    kernel_size: PositiveInt = 5
    map_dim: PositiveInt = 32
    dropout: float = Field(default=0.1, ge=0, lt=1)

    def build(self, dims: InputDims) -> PlaceTAN:
        """Return an untrained PlaceTAN."""
        return PlaceTAN(self, dims)
