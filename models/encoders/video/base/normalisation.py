"""Pixel normalisation: the only code that applies `mean` and `scale` of a preparation."""

import torch
from torch import Tensor, nn

from corpus.media import PicturePreparation


class PixelNormalisation(nn.Module):
    """Turns levels 0 to 255 into (level - mean) / scale per channel. It is part of the network, so the ONNX file contains it."""

    mean: Tensor
    scale: Tensor

    def __init__(self, preparation: PicturePreparation) -> None:
        """Store the constants. They are not weights, because the values of the preparation restore them."""
        super().__init__()
        self.register_buffer("mean", torch.tensor(preparation.mean)[:, None, None], persistent=False)
        self.register_buffer("scale", torch.tensor(preparation.scale)[:, None, None], persistent=False)

    def forward(self, levels: Tensor) -> Tensor:
        """Normalise (..., 3, H, W) of a floating-point type."""
        normalised: Tensor = (levels - self.mean) / self.scale
        return normalised
