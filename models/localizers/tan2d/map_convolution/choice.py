"""Choice of the fastest method for a stack of map convolutions, by estimated time.

The estimate counts products and divides by the measured rates of the kinds of matrix products on a CPU core with AVX-512;
only the ratios of rates matter. Letters: B rows, D channels, K kernel, Q tiles of T x T outputs from P x P inputs,
C components of a transform.
"""

from functools import lru_cache
from typing import Literal, NamedTuple

from models.localizers.tan2d.map_convolution.geometry import MapGeometry
from models.localizers.tan2d.map_convolution.tile_convolution import TileMethod
from models.localizers.tan2d.map_convolution.tiles import count_tiles
from models.localizers.tan2d.map_convolution.transforms import TileTransform, build_transform

Speed = Literal["auto", "low_memory", "plain"]
PLAIN_RATE, PRODUCT_RATE, TRANSFORM_RATE, WEIGHT_RATE = 110e9, 85e9, 85e9, 45e9  # operations per second
HALF_RATE_ROWS = 16  # rows at which a product over channels reaches half its rate
CALL_S = 5e-4  # overhead of a layer


class Setting(NamedTuple):
    """The inputs of the choice besides the geometry."""

    batch: int
    channels: int
    training: bool  # a backward follows
    cached: bool  # transformed weights are kept between calls


@lru_cache(maxsize=256)
def choose_methods(geometry: MapGeometry, setting: Setting) -> tuple[TileMethod, ...] | None:
    """Return the transform of each layer, or None if plain convolutions are faster."""
    layers = [min(_list_costs(geometry, layer, setting)) for layer in range(geometry.num_layers)]
    area = sum(len(cells.needed) ** 2 for cells in geometry.sets[1:])
    products = area * setting.batch * (geometry.kernel_size * setting.channels) ** 2
    plain_s = (3 if setting.training else 1) * 2 * products / PLAIN_RATE
    return tuple(method for _, method in layers) if sum(cost_s for cost_s, _ in layers) < plain_s else None


def list_methods(kernel_size: int) -> list[TileMethod]:
    """Return the transforms that keep the error of a stack within 1e-5 in float32; it grows slowly with the tile size."""
    circles = [TileMethod("circle", size) for size in range(kernel_size + 1, kernel_size + 7, 2) if size >= 4]
    return circles + [TileMethod("fourier", size) for size in range(kernel_size + 7, kernel_size + 11, 2)]


def _list_costs(geometry: MapGeometry, layer: int, setting: Setting) -> list[tuple[float, TileMethod]]:
    """Return the estimated seconds of one layer (from 0) with each transform."""
    costs = []
    for method in list_methods(geometry.kernel_size):
        transform = build_transform(*method, geometry.kernel_size)
        num_tiles = count_tiles(geometry.sets[layer + 1], transform.tile_size)
        costs.append((_estimate(transform, num_tiles * setting.batch, setting), method))
    return costs


def _estimate(transform: TileTransform, rows: int, setting: Setting) -> float:
    """Return the estimated seconds of a layer with `rows` = Q * B rows in each product over channels."""
    count, channels = transform.num_components, setting.channels
    forward, backward = 1, 2 if setting.training else 0
    products = (forward + backward) * count * (rows + HALF_RATE_ROWS) * channels**2 / PRODUCT_RATE
    inputs = (forward + backward) * count * transform.input_size**2 * rows * channels / TRANSFORM_RATE
    outputs = (forward + backward / 2) * count * transform.tile_size**2 * rows * channels / TRANSFORM_RATE
    weights = (backward + (0 if setting.cached else forward)) * count * (transform.kernel_size * channels) ** 2 / WEIGHT_RATE
    return 2 * (products + inputs + outputs + weights) + (forward + backward) * CALL_S
