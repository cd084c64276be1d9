"""The stack of masked convolutions of 2D-TAN over the candidates of a moment map.

Letters: B rows, H width, N cells of the time axis, M candidates, K kernel.
"""

from collections.abc import Sequence

from torch import Tensor, nn

from models.layers.map_convolution.geometry import MapGeometry, build_geometry
from models.layers.map_convolution.plain import compute_norms, convolve_canvas, spread


class MapConvolution(nn.Module):
    """K x K convolutions over the map, each followed by ReLU and a division by the number of valid cells under its kernel.

    Source: 2D-TAN (arXiv:1912.03590), section 3.3, and the authors' `MapConv`: the bias is divided too, and the region with
    values grows by the kernel's reach with every layer.
    """

    def __init__(self, hidden_dim: int, *, kernel_size: int, num_layers: int, scale_layers: Sequence[int]) -> None:
        """Build the layers for maps with these candidates."""
        super().__init__()
        self.kernel_size = kernel_size
        self.scale_layers = tuple(scale_layers)
        self.convs = nn.ModuleList(nn.Conv2d(hidden_dim, hidden_dim, kernel_size) for _ in range(num_layers))

    def forward(self, features: Tensor, valid: Tensor, num_cells: int) -> Tensor:
        """Return (B, M, H) from features (B, M, H), zero at invalid candidates, and validity (B, M) on a map of N cells."""
        geometry = self.get_geometry(num_cells)
        candidates = geometry.sets[0]
        norms = compute_norms(spread(valid[:, None].float(), candidates), geometry)
        canvas = convolve_canvas(spread(features.transpose(1, 2), candidates), self.convs, norms, geometry)
        rows, columns = candidates.cells.T.tolist()
        return canvas[:, :, rows, columns].transpose(1, 2)

    def get_geometry(self, num_cells: int) -> MapGeometry:
        """Return which cells each layer computes on a map of N cells."""
        return build_geometry(num_cells, self.scale_layers, self.kernel_size, len(self.convs))
