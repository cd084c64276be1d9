"""Reference 2D-TAN in the authors' formulation, layer by layer on the whole map, for comparisons of results and times.

Written from the paper (arXiv:1912.03590) and the parameter names of the published checkpoints.
Letters: B rows, T clips, N cells, L words, D input width, H hidden width.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class ReferenceTan2D(nn.Module):
    """The whole network with the authors' parameter names; every convolution runs on the padded square map."""

    def __init__(  # noqa: PLR0913 - the seven numbers of a published configuration
        self,
        feature_dim: int,
        *,
        clips_per_cell: int,
        scale_layers: Sequence[int],
        proposals: str,
        kernel_size: int,
        num_layers: int,
        hidden_dim: int = 512,
        text_dim: int = 300,
    ) -> None:
        """Build the untrained network."""
        super().__init__()
        self.clips_per_cell = clips_per_cell
        self.frame_layer = nn.ModuleDict({"vis_conv": nn.Conv1d(feature_dim, hidden_dim, 1)})
        self.prop_layer = ReferenceProposals(scale_layers, hidden_dim if proposals == "conv" else None)
        self.fusion_layer = nn.ModuleDict(
            {
                "textual_encoder": nn.LSTM(text_dim, hidden_dim, num_layers=3, batch_first=True),
                "tex_linear": nn.Linear(hidden_dim, hidden_dim),
                "vis_conv": nn.Conv2d(hidden_dim, hidden_dim, 1),
            }
        )
        self.map_layer = ReferenceMapConvolution(hidden_dim, kernel_size=kernel_size, num_layers=num_layers)
        self.pred_layer = nn.Conv2d(hidden_dim, 1, 1)

    def forward(self, word_vectors: Tensor, word_mask: Tensor, clips: Tensor) -> tuple[Tensor, Tensor]:
        """Return scores and mask, (B, 1, N, N) each, from words (B, L, D), their mask (B, L, 1) and clips (B, T, D)."""
        hidden = F.relu(self.frame_layer["vis_conv"](clips.transpose(1, 2)))  # (B, H, T)
        proposals, mask = self.prop_layer(F.avg_pool1d(hidden, self.clips_per_cell))
        states = self.fusion_layer["textual_encoder"](word_vectors)[0] * word_mask
        last = [int(row.sum()) - 1 for row in word_mask]
        sentence = self.fusion_layer["tex_linear"](torch.stack([row[index] for row, index in zip(states, last, strict=True)]))
        fused = F.normalize(sentence[:, :, None, None] * self.fusion_layer["vis_conv"](proposals)) * mask
        return self.pred_layer(self.map_layer(fused, mask)) * mask, mask


class ReferenceProposals(nn.Module):
    """Max pooling, or convolutions if `hidden_dim` is given; each output is placed on the map by its first and last cell."""

    def __init__(self, scale_layers: Sequence[int], hidden_dim: int | None) -> None:
        """Build the convolutions, if any."""
        super().__init__()
        self.windows = [
            [(1, 1) if (scale, index) == (0, 0) else (2, 1) if index else (3, 2) for index in range(count)]
            for scale, count in enumerate(scale_layers)
        ]
        if hidden_dim is not None:
            self.layers = nn.ModuleList(
                nn.ModuleList(nn.Conv1d(hidden_dim, hidden_dim, size, step) for size, step in scale) for scale in self.windows
            )

    def forward(self, cells: Tensor) -> tuple[Tensor, Tensor]:
        """Return the map (B, H, N, N) of cells (B, H, N), and its mask (B, 1, N, N)."""
        batch, hidden_dim, num_cells = cells.shape
        proposals = cells.new_zeros(batch, hidden_dim, num_cells, num_cells)
        mask = cells.new_zeros(batch, 1, num_cells, num_cells)
        first = last = torch.arange(num_cells)
        for scale, windows in enumerate(self.windows):
            for index, (size, step) in enumerate(windows):
                if len(first) < size:
                    continue
                cells = self.layers[scale][index](cells) if hasattr(self, "layers") else F.max_pool1d(cells, size, step)
                first, last = first[: len(first) - size + 1 : step], last[size - 1 :: step]
                proposals[:, :, first, last] = cells
                mask[:, :, first, last] = 1
        return proposals, mask


class ReferenceMapConvolution(nn.Module):
    """Convolutions with padding only in the first layer; each result is divided by the valid cells under its kernel."""

    def __init__(self, hidden_dim: int, *, kernel_size: int, num_layers: int) -> None:
        """Build the layers."""
        super().__init__()
        paddings = [(kernel_size - 1) * num_layers // 2] + [0] * (num_layers - 1)
        self.convs = nn.ModuleList(nn.Conv2d(hidden_dim, hidden_dim, kernel_size, padding=padding) for padding in paddings)

    def forward(self, features: Tensor, mask: Tensor) -> Tensor:
        """Return (B, H, N, N) from features (B, H, N, N) and the mask of the candidates (B, 1, N, N)."""
        valid = mask.float()
        for layer in self.convs:
            count = F.conv2d(valid, torch.ones(1, 1, *layer.kernel_size, device=valid.device), padding=layer.padding).round()
            weight = torch.where(count > 0, 1 / count, 0.0)  # float32 for every dtype of the features
            features = F.relu(layer(features)) * weight
            valid = (count > 0).float()
        return features
