"""Map convolutions as plain two-dimensional convolutions on the smallest canvases, for any device, dtype and exporter.

Letters: B rows, H width, N cells of the time axis, M candidates, K kernel.
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.localizers.tan2d.map_convolution.geometry import CellSet, MapGeometry


def compute_norms(valid: Tensor, geometry: MapGeometry) -> list[Tensor]:
    """Return the factors of the results of each layer, (B, 1, height, width) float32 on the canvas of the layer.

    `valid` (B, 1, N, N) is 1 at valid cells. As in the authors' code, factors are float32 for features of any type.
    """
    window = torch.ones(1, 1, geometry.kernel_size, geometry.kernel_size, device=valid.device)
    mask = valid.float()
    norms = []
    for padding in geometry.paddings:
        count = F.conv2d(mask, window, padding=padding).round()  # valid cells under the kernel
        mask = (count > 0).float()
        norms.append(mask / count.clamp_min(1))
    return norms


def convolve_canvas(
    features: Tensor, convolutions: Iterable[nn.Module], norms: Iterable[Tensor], geometry: MapGeometry
) -> Tensor:
    """Return (B, H, N, N) from features (B, H, N, N), which must be zero at invalid cells."""
    for convolution, norm, padding in zip(convolutions, norms, geometry.paddings, strict=True):
        assert isinstance(convolution, nn.Conv2d)
        features = F.relu(F.conv2d(features, convolution.weight, convolution.bias, padding=padding)) * norm.to(features.dtype)
    return features


def spread(values: Tensor, cells: CellSet) -> Tensor:
    """Scatter candidates to the map: (B, H, M) -> (B, H, N, N), zero elsewhere."""
    index = torch.tensor(cells.index.ravel().tolist(), device=values.device)
    return F.pad(values, (0, 1))[:, :, index].reshape(*values.shape[:2], *cells.index.shape)
