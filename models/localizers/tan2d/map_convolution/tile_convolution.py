"""Masked convolution over a list of cells, tile by tile in the domain of a `TileTransform`, with a custom backward.

y = A^T [(G W) * (B^T X)]: the transforms are matrix products, and the middle is one product over channels per component C.
Only the input and the output of a layer are kept for the backward, which transforms again.
Letters: S cells, B rows, I and O channels before and after, Q tiles, P and T inputs and outputs of a tile along a side.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from models.localizers.tan2d.map_convolution.crew import run_parts
from models.localizers.tan2d.map_convolution.kept_kernels import KeptKernels
from models.localizers.tan2d.map_convolution.tiles import TileLayout
from models.localizers.tan2d.map_convolution.transforms import Points, build_transform
from models.localizers.tan2d.map_convolution.workspace import Workspace

CACHE_BYTES = 2**20  # transformed at a time; it must stay in the cache until the product reads it
WEIGHT_BYTES = 48 * 2**20  # of transformed weights at a time
TILE_BYTES = 64 * 2**20  # of transformed tiles at a time, at least


class TileMethod(NamedTuple):
    """The transform of a layer."""

    points: Points
    input_size: int  # P


class TileMatrices(NamedTuple):
    """A `TileTransform` as tensors."""

    inputs: Tensor  # (C, P * P)
    weights: Tensor  # (C, K * K)
    outputs: Tensor  # (T * T, C)


class TilePlan(NamedTuple):
    """The computation plan of a layer; layers of one call share the workspace."""

    layout: TileLayout
    matrices: TileMatrices
    workspace: Workspace
    kept: KeptKernels | None = None  # the transformed kernel of the layer, if it is kept between calls


@lru_cache(maxsize=32)
def get_matrices(method: TileMethod, kernel_size: int, dtype: torch.dtype) -> TileMatrices:
    """Return the matrices of a method."""
    transform = build_transform(*method, kernel_size)
    parts = (transform.inputs, transform.weights, transform.outputs)
    return TileMatrices(*(torch.from_numpy(part).to(dtype) for part in parts))


def transform_weights(weight: Tensor, matrix: Tensor, found: Tensor) -> Tensor:
    """Write the components of a kernel to `found`, (C, O, I), from (O, I, K, K) and rows (C, K * K) of `weights`."""
    taps, rows = weight.flatten(2).flatten(0, 1), found.view(len(found), -1)  # (O * I, K * K), (C, O * I)
    for pairs in _split(len(taps), _count_columns(len(matrix), taps)):
        torch.mm(matrix, taps[pairs].T, out=rows[:, pairs])
    return found


class TileConvolution(torch.autograd.Function):
    """ReLU(X conv W + bias) * norm on the cells after a layer.

    Cells are (S + 1, B, channels) with a zero last row; `norm` is (S_out + 1, 1 or B, 1) with a zero last row too.
    """

    @staticmethod
    def forward(ctx: Any, features: Tensor, weight: Tensor, bias: Tensor, norm: Tensor, plan: TilePlan) -> Tensor:
        """Return the cells after the layer, (S_out + 1, B, O)."""
        result = features.new_zeros(len(norm), features.shape[1], len(weight))
        for tiles in _split_tiles(plan, features):
            components = _to_components("components", features, tiles.inputs, plan.matrices.inputs, plan.workspace)
            products = plan.workspace.take("products", (*components.shape[:2], len(weight)), features, padding=0)
            _multiply(plan, components, weight, products, transposed=True)  # (C, Q * B, O)
            _put_components(result, tiles.outputs, plan.matrices.outputs, products, plan.workspace)
        result.add_(bias).relu_().mul_(norm)
        result[-1] = 0  # even if a value is not finite
        ctx.save_for_backward(features, weight, norm, result)
        ctx.plan = plan._replace(kept=None)
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of features, weight and bias; other inputs have none."""
        features, weight, norm, result = ctx.saved_tensors
        wants_features, wants_weight, wants_bias = ctx.needs_input_grad[:3]
        inner = torch.where(result > 0, gradient * norm, 0)  # of the sum before the ReLU
        grad_features = torch.zeros_like(features) if wants_features else None
        grad_taps = weight.new_zeros(weight[0, 0].numel(), weight[..., 0, 0].numel()) if wants_weight else None
        for tiles in _split_tiles(ctx.plan, features):
            _add_gradients(ctx.plan._replace(layout=tiles), features, weight, inner, grad_features, grad_taps)
        grad_weight = grad_taps.T.reshape(weight.shape) if grad_taps is not None else None
        return grad_features, grad_weight, inner.sum((0, 1)) if wants_bias else None, None, None


def _add_gradients(
    plan: TilePlan, features: Tensor, weight: Tensor, inner: Tensor, grad_features: Tensor | None, grad_taps: Tensor | None
) -> None:
    """Add the contribution of some tiles to the gradients of features (S + 1, B, I) and of kernel taps (K * K, O * I)."""
    (inputs, outputs), matrices, workspace = plan.layout, plan.matrices, plan.workspace
    products = _to_components("products", inner, outputs, matrices.outputs.T, workspace)  # (C, Q * B, O)
    if grad_taps is not None:
        components = _to_components("components", features, inputs, matrices.inputs, workspace)  # (C, Q * B, I)
        for part in _split_components(matrices, weight):
            _add_taps(grad_taps, matrices.weights[part].T, products[part].transpose(1, 2), components[part], workspace)
    if grad_features is not None:
        components = workspace.take("components", (*products.shape[:2], features.shape[-1]), features, padding=0)
        _multiply(plan, products, weight, components, transposed=False)  # of the gradients now
        _add_components(grad_features, inputs, matrices.inputs.T, components, workspace)


def _multiply(plan: TilePlan, components: Tensor, weight: Tensor, found: Tensor, *, transposed: bool) -> None:
    """Write the products of (C, Q * B, I) with the kernel of the layer, (C, O, I), in either direction, to `found`."""
    block_size = _count_kernels(weight)  # outside the worker threads, each of which counts one thread

    def multiply(number: int, part: slice) -> None:
        if plan.kept is not None and transposed:
            plan.kept.multiply(components, found, part)
            return
        for block in _split(part.stop - part.start, block_size):
            rows = slice(part.start + block.start, part.start + block.stop)
            kernels = _get_kernels(plan, weight, rows, f"kernels {number}", transposed=transposed)
            torch.bmm(components[rows], kernels, out=found[rows])

    run_parts(multiply, len(components))


def _add_taps(grad_taps: Tensor, matrix: Tensor, products: Tensor, components: Tensor, workspace: Workspace) -> None:
    """Add to the gradients of taps (K * K, O * I) from (K * K, C), (C, O, Q * B) and (C, Q * B, I)."""
    kernels = workspace.take("gradients", (*products.shape[:2], components.shape[-1]), components)  # (C, O, I)
    rows = kernels.view(len(kernels), -1)

    def multiply(_: int, part: slice) -> None:
        torch.bmm(products[part], components[part], out=kernels[part])

    def add(_: int, part: slice) -> None:
        for block in _split(part.stop - part.start, _count_columns(len(rows), rows)):
            pairs = slice(part.start + block.start, part.start + block.stop)
            grad_taps[:, pairs].addmm_(matrix, rows[:, pairs])

    run_parts(multiply, len(kernels))
    run_parts(add, rows.shape[1])


def _get_kernels(plan: TilePlan, weight: Tensor, rows: slice, name: str, *, transposed: bool) -> Tensor:
    """Return some components of the kernel of the layer: (C, O, I), or transposed (C, I, O)."""
    matrix = plan.matrices.weights[rows]
    kernels = transform_weights(weight, matrix, plan.workspace.take(name, (len(matrix), *weight.shape[:2]), weight))
    return kernels.transpose(1, 2) if transposed else kernels


def _to_components(name: str, cells: Tensor, index: Tensor, matrix: Tensor, workspace: Workspace) -> Tensor:
    """Transform squares of cells: cells (S + 1, B, D), index (places, Q), matrix (C, places) -> (C, Q * B, D)."""
    width = cells[0].numel()
    found = workspace.take(name, (len(matrix), index.shape[1] * width), cells)

    def transform(_: int, part: slice) -> None:
        for tiles, columns in _split_squares(index, cells, part):
            squares = cells.index_select(0, index[:, tiles].flatten()).view(len(index), -1)
            first = tiles.start * width
            for some in columns:
                torch.mm(matrix, squares[:, some], out=found[:, first + some.start : first + some.stop])

    run_parts(transform, index.shape[1])
    return found.view(len(matrix), -1, cells.shape[-1])


def _put_components(cells: Tensor, index: Tensor, matrix: Tensor, components: Tensor, workspace: Workspace) -> None:
    """Transform back into zero cells (S + 1, B, D): index (places, Q), matrix (places, C), components (C, Q * B, D).

    Tiles share no cell except the last one, whose value is meaningless.
    """
    width = cells[0].numel()
    flat, rows = components.view(len(components), -1), cells.view(len(cells), -1)

    def transform(number: int, part: slice) -> None:
        for tiles, columns in _split_squares(index, cells, part):
            squares = workspace.take(f"squares {number}", (1, len(index), (tiles.stop - tiles.start) * width), cells)[0]
            first = tiles.start * width
            for some in columns:
                torch.mm(matrix, flat[:, first + some.start : first + some.stop], out=squares[:, some])
            rows.index_copy_(0, index[:, tiles].flatten(), squares.view(-1, width))

    run_parts(transform, index.shape[1])


def _add_components(cells: Tensor, index: Tensor, matrix: Tensor, components: Tensor, workspace: Workspace) -> None:
    """Transform back like `_put_components`, but add, for tiles that share cells; parts are columns of the cells."""
    width = cells[0].numel()
    tiles, rows = components.view(len(components), -1, width), cells.view(len(cells), -1)  # (C, Q, B * D), (S + 1, B * D)

    def transform(number: int, part: slice) -> None:
        squares = workspace.take(f"squares {number}", (1, len(index), part.stop - part.start), cells)[0]
        target = rows[:, part]
        for tile in range(tiles.shape[1]):
            torch.mm(matrix, tiles[:, tile, part], out=squares)
            target.index_add_(0, index[:, tile], squares)

    run_parts(transform, width)


def _split_squares(index: Tensor, cells: Tensor, part: slice) -> Iterator[tuple[slice, list[slice]]]:
    """Yield slices of tiles whose squares stay in the cache, and slices of columns if a single tile is too large."""
    width = cells[0].numel()
    num_columns = _count_columns(len(index), cells)
    for some in _split(part.stop - part.start, max(1, num_columns // width)):
        tiles = slice(part.start + some.start, part.start + some.stop)
        yield tiles, list(_split((tiles.stop - tiles.start) * width, num_columns))


def _split_tiles(plan: TilePlan, features: Tensor) -> Iterator[TileLayout]:
    """Yield chunks of tiles with components of `TILE_BYTES`, or of twice the size of the transformed weights."""
    _, batch, channels = features.shape
    rows = max(2 * channels, TILE_BYTES // (len(plan.matrices.inputs) * channels * features.element_size()))
    parts = (torch.split(index, max(1, rows // batch), dim=1) for index in plan.layout)
    yield from (TileLayout(*part) for part in zip(*parts, strict=True))


def _split_components(matrices: TileMatrices, weight: Tensor) -> Iterator[slice]:
    """Yield blocks of components whose weights take `WEIGHT_BYTES`."""
    count = len(matrices.inputs)
    num_blocks = -(-count * weight[..., 0, 0].numel() * weight.element_size() // WEIGHT_BYTES)
    return _split(count, -(-count // num_blocks))


def _count_kernels(weight: Tensor) -> int:
    """Return the number of kernel components that a thread transforms at a time."""
    return max(1, WEIGHT_BYTES // (torch.get_num_threads() * weight[..., 0, 0].numel() * weight.element_size()))


def _split(length: int, size: int) -> Iterator[slice]:
    return (slice(start, min(start + size, length)) for start in range(0, length, size))


def _count_columns(height: int, like: Tensor) -> int:
    """Return the number of columns of a height that stay in the cache."""
    return max(1, CACHE_BYTES // (height * like.element_size()))
