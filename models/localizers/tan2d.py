"""2D-TAN: a map over all spans of a video, compared with the sentence and convolved over neighbouring spans.

Letters: B rows, N cells, P places of a clip, L words, D input width, H hidden width, K kernel, M = N (N + 1) / 2 spans.
"""

from typing import Literal

import torch
from pydantic import Field, PositiveInt
from torch import Tensor, nn
from torch.nn import functional as F

from models.exchange.batches import Candidates, InputDims, TextFeatures, VideoFeatures
from models.exchange.roles import Localizer, LocalizerParams
from models.layers.dense_grid import DenseGrid
from models.layers.sentence_lstm import SentenceLSTM


def build_running_max(cells: Tensor) -> Tensor:
    """Return the maximum over each span of cells: (B, H, N) -> (B, H, M), shortest spans first, then by first cell."""
    longest = cells
    diagonals = [cells]
    for length in range(1, cells.shape[-1]):
        longest = torch.maximum(longest[..., :-1], cells[..., length:])
        diagonals.append(longest)
    return torch.cat(diagonals, dim=-1)


def build_map_index(num_cells: int) -> Tensor:
    """Return where each cell (first, last) of the map, flattened, lies in `build_running_max`: (N * N,); M below the diagonal."""
    first = torch.arange(num_cells)[:, None]
    length = torch.arange(num_cells)[None, :] - first  # (N, N), cells in the span minus one
    before = length * num_cells - length * (length - 1) // 2  # candidates of shorter spans
    return torch.where(length >= 0, before + first, num_cells * (num_cells + 1) // 2).flatten()


class MapConvolution(nn.Module):
    """K x K convolutions over the map; each output is divided by the number of valid cells under its kernel.

    The first layer pads for all of them, so the map grows and shrinks back to N x N, and the region of cells with a
    value grows by the kernel's reach with every layer, as in the authors' code.
    """

    def __init__(self, hidden_dim: int, *, kernel_size: int, num_layers: int) -> None:
        """Build the layers."""
        super().__init__()
        self.paddings = [(kernel_size - 1) * num_layers // 2] + [0] * (num_layers - 1)
        self.convs = nn.ModuleList(nn.Conv2d(hidden_dim, hidden_dim, kernel_size, padding=padding) for padding in self.paddings)
        self.register_buffer("window", torch.ones(1, 1, kernel_size, kernel_size), persistent=False)

    def forward(self, features: Tensor, valid: Tensor) -> Tensor:
        """Return (B, H, N, N) from features (B, H, N, N), zero at invalid cells, and validity (B, 1, N, N) float."""
        for convolution, padding in zip(self.convs, self.paddings, strict=True):
            count = F.conv2d(valid, self.get_buffer("window"), padding=padding)  # valid cells under the kernel
            valid = (count > 0.5).to(features.dtype)
            features = F.relu(convolution(features)) * (valid / count.clamp_min(1))
        return features


class TAN2D(Localizer):
    """2D Temporal Adjacent Network, the variant with max-pooled proposals, on a dense grid.

    Source: Zhang et al., AAAI 2020 (arXiv:1912.03590), sections 3.1-3.3, and the authors' code.
    Deviations: cells are averaged before the first convolution, not after it (callers resample clips to N cells); where
    an encoder keeps P places, that convolution sees every place and the maximum over places goes into its ReLU, so a
    channel answers where all it looks for is at one place; logits are not multiplied by the mask (`valid` says it).
    """

    def __init__(self, params: "TAN2DParams", dims: InputDims) -> None:
        """Build for features and words of these widths."""
        super().__init__()
        hidden_dim = params.hidden_dim
        self.num_cells = params.num_cells
        self.grid = DenseGrid(params.num_cells)
        self.register_buffer("map_index", build_map_index(params.num_cells), persistent=False)
        self.clip_conv = nn.Linear(dims.feature_dim, hidden_dim)
        self.text_lstm = SentenceLSTM(dims.text_dim, hidden_dim=hidden_dim, num_layers=params.lstm_layers)
        self.text_linear = nn.Linear(hidden_dim, hidden_dim)
        self.map_linear = nn.Conv2d(hidden_dim, hidden_dim, 1)
        self.map_conv = MapConvolution(hidden_dim, kernel_size=params.kernel_size, num_layers=params.num_layers)
        self.predict = nn.Conv2d(hidden_dim, 1, 1)

    def forward(self, video: VideoFeatures, text: TextFeatures) -> Candidates:
        """Return all N (N + 1) / 2 spans of the dense grid, with the vector of each map cell as its features."""
        fused, valid = self._fuse(self._build_map(video.features), text, video.mask)
        convolved = self.map_conv(fused, valid)  # (B, H, N, N)
        scores = self.predict(convolved)[:, 0, self.grid.first, self.grid.last]  # (B, M)
        features = convolved[:, :, self.grid.first, self.grid.last].transpose(1, 2)  # (B, M, H)
        spans = self.grid.compute_spans(video.mask, video.duration_s)
        return Candidates(spans, scores, self.grid.find_valid(video.mask), features=features)

    def _build_map(self, features: Tensor) -> Tensor:
        """Return the proposal map (B, H, N, N) of clips (B, N, P, D), zero below the diagonal."""
        cells = F.relu(self.clip_conv(features).max(dim=2).values).transpose(1, 2)  # (B, H, N)
        spans = F.pad(build_running_max(cells), (0, 1))  # (B, H, M + 1), the last one is zero
        return spans[:, :, self.get_buffer("map_index")].reshape(*cells.shape, self.num_cells)

    def _fuse(self, proposals: Tensor, text: TextFeatures, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Multiply proposals with the sentence, normalise over channels, and return them with the cells' validity."""
        sentence = self.text_linear(self.text_lstm(text))  # (B, H)
        upper = torch.ones(self.num_cells, self.num_cells, device=mask.device).triu()
        valid = (upper * mask[:, None, :])[:, None].to(proposals.dtype)  # (B, 1, N, N)
        fused = F.normalize(sentence[:, :, None, None] * self.map_linear(proposals), dim=1)
        return fused * valid, valid


class TAN2DParams(LocalizerParams):
    """Values of 2D-TAN; the published models are far larger (hidden_dim 512, 8 layers, 3 LSTM layers)."""

    name: Literal["tan2d"]
    num_cells: PositiveInt = 16
    hidden_dim: PositiveInt = 64
    num_layers: PositiveInt = 2
    kernel_size: int = Field(default=5, ge=1)
    lstm_layers: PositiveInt = 1

    def build(self, dims: InputDims) -> TAN2D:
        """Return an untrained 2D-TAN."""
        return TAN2D(self, dims)
