"""Small stacks of map convolutions for tests, and the shapes of the published stacks."""

import torch
from torch import Tensor

from models.localizers.tan2d.map_convolution.choice import list_methods
from models.localizers.tan2d.map_convolution.geometry import MapGeometry, build_geometry
from models.localizers.tan2d.map_convolution.stack import MapConvolution
from models.localizers.tan2d.map_convolution.tile_convolution import TileMethod

SHAPES = [(9, (9,), 3, 3), (12, (12,), 5, 4), (32, (16, 8), 9, 2), (7, (7,), 3, 1)]  # N, scales, K, L
PUBLISHED = [(16, (16,), 5, 8), (64, (16, 8, 8), 9, 4), (128, (16, 8, 8, 8), 5, 8)]


def build_stack(
    shape: tuple[int, tuple[int, ...], int, int], *, channels: int = 6, dtype: torch.dtype = torch.float64
) -> MapConvolution:
    torch.manual_seed(0)
    _, scale_layers, kernel_size, num_layers = shape
    stack = MapConvolution(channels, kernel_size=kernel_size, num_layers=num_layers, scale_layers=scale_layers).to(dtype)
    with torch.no_grad():
        for layer in stack.convs:
            layer.weight.mul_(2 * kernel_size**2)
    return stack


def draw(stack: MapConvolution, num_cells: int, *, rows: int = 3, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    """Return features (B, M, H) and validity (B, M); later rows are shorter videos."""
    cells = build_geometry(num_cells, stack.scale_layers, stack.kernel_size, len(stack.convs)).sets[0].cells
    ends = torch.tensor([max(1, num_cells - 2 * row) for row in range(rows)])
    valid = torch.from_numpy(cells[:, 1])[None] < ends[:, None]
    features = torch.randn(
        rows, len(cells), stack.convs[0].weight.shape[1], dtype=dtype, generator=torch.Generator().manual_seed(1)
    )
    return features * valid[..., None], valid


def force(geometry: MapGeometry, index: int) -> tuple[TileMethod, ...]:
    methods = list_methods(geometry.kernel_size)
    return (methods[index % len(methods)],) * geometry.num_layers
