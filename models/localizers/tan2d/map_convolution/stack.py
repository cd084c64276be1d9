"""Stack of masked convolutions of 2D-TAN over the candidates of a moment map.

Letters: B rows, H width, N cells of the time axis, M candidates, S cells of a layer, K kernel.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from models.localizers.tan2d.map_convolution.choice import Setting, Speed, choose_methods
from models.localizers.tan2d.map_convolution.geometry import MapGeometry, build_geometry
from models.localizers.tan2d.map_convolution.offset_convolution import OffsetConvolution, list_pairs
from models.localizers.tan2d.map_convolution.plain import compute_norms, convolve_canvas, spread
from models.localizers.tan2d.map_convolution.tile_convolution import TileConvolution, TileMethod, TilePlan, get_matrices
from models.localizers.tan2d.map_convolution.tiles import lay_out
from models.localizers.tan2d.map_convolution.transform_cache import TransformCache
from models.localizers.tan2d.map_convolution.workspace import Workspace

MAX_KEPT_BATCH = 4  # larger batches use the transforms of this size if transformed weights are kept


class MapConvolution(nn.Module):
    """K x K convolutions over the map, each followed by ReLU and a division by the number of valid cells under its kernel.

    Source: 2D-TAN (arXiv:1912.03590), section 3.3, and the authors' `MapConv`: the bias is divided too, and the non-zero region
    grows by the reach of the kernel with every layer.

    On a CPU in float32 or float64, only the needed cells are computed: by tiles in a transform domain (`speed="auto"`), or
    tap by tap with little memory (`"low_memory"`). Results differ from plain convolutions only by rounding. Everywhere else,
    and under autocast, export or compilation, plain convolutions on the smallest canvases run (`"plain"`). The first two
    methods have a custom backward; they refuse double backward, forward differentiation and `torch.func`.
    """

    def __init__(
        self, hidden_dim: int, *, kernel_size: int, num_layers: int, scale_layers: Sequence[int], speed: Speed = "auto"
    ) -> None:
        """Build the layers for maps with these candidates."""
        super().__init__()
        self.kernel_size = kernel_size
        self.scale_layers = tuple(scale_layers)
        self.speed: Speed = speed
        self.convs = nn.ModuleList(nn.Conv2d(hidden_dim, hidden_dim, kernel_size) for _ in range(num_layers))
        self.kept: TransformCache | None = None  # if set, transformed weights are kept between calls without gradients

    def keep_transforms(self, keep: bool = True) -> None:
        """Keep transformed weights between calls without gradients, for small batches. It takes C / K^2 times their memory.

        C is the number of components of the transform, 88 or more for K = 5. Send batches of similar size consecutively,
        because another transform replaces the kept weights. Without `keep`, the memory is released.
        """
        self.kept = TransformCache() if keep else None

    def forward(self, features: Tensor, valid: Tensor, num_cells: int) -> Tensor:
        """Return (B, M, H) from features (B, M, H), zero at invalid candidates, and their validity (B, M), on N cells."""
        geometry = build_geometry(num_cells, self.scale_layers, self.kernel_size, len(self.convs))
        if self.speed == "plain" or _needs_plain(features):
            return self._convolve_plainly(features, valid, geometry)
        training = torch.is_grad_enabled() and (features.requires_grad or any(p.requires_grad for p in self.parameters()))
        kept = None if training else self.kept
        batch = min(len(features), MAX_KEPT_BATCH) if kept is not None else len(features)  # few choices, so that kept weights fit
        setting = Setting(batch, features.shape[-1], training, cached=kept is not None)
        methods = choose_methods(geometry, setting) if self.speed == "auto" else None
        if self.speed == "auto" and methods is None:
            return self._convolve_plainly(features, valid, geometry)
        norms = _list_norms(valid, geometry, features.dtype)
        cells = nn.functional.pad(features.transpose(0, 1), (0, 0, 0, 0, 0, 1))  # (M + 1, B, H)
        if methods is None:
            return self._convolve_taps(cells, norms, num_cells)[:-1].transpose(0, 1)
        return self._convolve_tiles(cells, norms, methods, num_cells, kept)[:-1].transpose(0, 1)

    def _convolve_plainly(self, features: Tensor, valid: Tensor, geometry: MapGeometry) -> Tensor:
        candidates = geometry.sets[0]
        norms = compute_norms(spread(valid[:, None].float(), candidates), geometry)
        canvas = convolve_canvas(spread(features.transpose(1, 2), candidates), self.convs, norms, geometry)
        rows, columns = candidates.cells.T.tolist()
        return canvas[:, :, rows, columns].transpose(1, 2)

    def _convolve_tiles(
        self, cells: Tensor, norms: list[Tensor], methods: Sequence[TileMethod], num_cells: int, kept: TransformCache | None
    ) -> Tensor:
        """Return the cells after the last layer, (M + 1, B, H), from the cells before the first; the last row is zero."""
        workspace = Workspace()
        for layer, (parameters, norm, method) in enumerate(zip(self._list_parameters(), norms, methods, strict=True)):
            tile_size = method.input_size - self.kernel_size + 1
            layout = lay_out(num_cells, self.scale_layers, self.kernel_size, len(norms), layer=layer, tile_size=tile_size)
            matrices = get_matrices(method, self.kernel_size, cells.dtype)
            kernels = kept.get(layer, parameters[0], method, matrices) if kept is not None else None
            plan = TilePlan(layout, matrices, workspace, kernels)
            cells = TileConvolution.apply(cells, *parameters, norm, plan)  # type: ignore[no-untyped-call]
        return cells

    def _convolve_taps(self, cells: Tensor, norms: list[Tensor], num_cells: int) -> Tensor:
        """Compute the result of `_convolve_tiles` with little memory."""
        for layer, (parameters, norm) in enumerate(zip(self._list_parameters(), norms, strict=True)):
            taps = list_pairs(num_cells, self.scale_layers, self.kernel_size, len(norms), layer=layer)
            cells = OffsetConvolution.apply(cells, *parameters, norm, taps)  # type: ignore[no-untyped-call]
        return cells

    def _list_parameters(self) -> list[tuple[Tensor, Tensor]]:
        return [(layer.weight, layer.bias) for layer in self.convs if isinstance(layer, nn.Conv2d) and layer.bias is not None]


def _needs_plain(features: Tensor) -> bool:
    """Return whether plain convolutions must run: anything but eager computation on a CPU in float32 or float64."""
    return (
        torch.compiler.is_compiling()
        or torch.jit.is_tracing()  # type: ignore[attr-defined, no-untyped-call]
        or features.device.type != "cpu"
        or features.dtype not in (torch.float32, torch.float64)
        or torch.is_autocast_enabled("cpu")
        or not len(features)
    )


def _list_norms(valid: Tensor, geometry: MapGeometry, dtype: torch.dtype) -> list[Tensor]:
    """Return the factors of the results of each layer, (S + 1, 1 or B, 1), zero in the last row."""
    if bool(valid.all()):
        rows = [torch.from_numpy(1 / count.astype(np.float32))[:, None] for count in geometry.counts]  # (S, 1)
    else:
        canvases = compute_norms(spread(valid[:, None].float(), geometry.sets[0]), geometry)
        sets = geometry.sets[1:]
        rows = [norm[:, 0][:, torch.from_numpy(after.needed)].T for norm, after in zip(canvases, sets, strict=True)]  # (S, B)
    return [nn.functional.pad(row, (0, 0, 0, 1))[..., None].to(dtype) for row in rows]
