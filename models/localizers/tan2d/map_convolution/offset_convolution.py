"""Masked convolution over a list of cells, tap by tap of the kernel, with little memory and no products with zeros.

Letters: S cells, B rows, I and O channels before and after, K kernel.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from models.localizers.tan2d.map_convolution.geometry import build_geometry

GATHER_BYTES = 2**20  # of cells at a time


class Pairs(NamedTuple):
    """The cell pairs of a kernel tap: input cell i contributes to output cell i of the two lists."""

    inputs: Tensor
    outputs: Tensor


@lru_cache(maxsize=64)
def list_pairs(
    num_cells: int, scale_layers: tuple[int, ...], kernel_size: int, num_layers: int, *, layer: int
) -> tuple[Pairs, ...]:
    """Return the pairs of each tap of one layer (from 0) of a stack."""
    geometry = build_geometry(num_cells, scale_layers, kernel_size, num_layers)
    before, after = geometry.sets[layer], geometry.sets[layer + 1]
    reach = (kernel_size - 1) // 2
    pairs = []
    for row, column in np.ndindex(kernel_size, kernel_size):
        inputs = before.find(after.cells[:, 0] + row - reach, after.cells[:, 1] + column - reach)
        outputs = np.flatnonzero(inputs < len(before.cells))
        pairs.append(Pairs(torch.from_numpy(inputs[outputs]), torch.from_numpy(outputs)))
    return tuple(pairs)


class OffsetConvolution(torch.autograd.Function):
    """ReLU(X conv W + bias) * norm on the cells after a layer, with the interface of `TileConvolution`."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, weight: Tensor, bias: Tensor, norm: Tensor, taps: tuple[Pairs, ...]) -> Tensor:
        """Return the cells after the layer, (S_out + 1, B, O)."""
        result = features.new_zeros(len(norm), features.shape[1], len(weight))
        for pairs, tap in zip(taps, weight.flatten(2).unbind(-1), strict=True):
            matrix = tap.T.contiguous()
            for inputs, outputs in _split(pairs, features):
                result.index_add_(0, outputs, features[inputs] @ matrix)
        result.add_(bias).relu_().mul_(norm)
        result[-1] = 0  # even if a value is not finite
        ctx.save_for_backward(features, weight, norm, result)
        ctx.taps = taps
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of features, weight and bias; other inputs have none."""
        features, weight, norm, result = ctx.saved_tensors
        wants_features, wants_weight, wants_bias = ctx.needs_input_grad[:3]
        inner = torch.where(result > 0, gradient * norm, 0)  # of the sum before the ReLU
        grad_features = torch.zeros_like(features) if wants_features else None
        grad_weight = torch.empty_like(weight) if wants_weight else None
        grad_matrix = torch.empty_like(weight[..., 0, 0], memory_format=torch.contiguous_format)
        for tap, pairs in enumerate(ctx.taps):
            matrix = weight.flatten(2)[..., tap].contiguous()
            grad_matrix.zero_()
            for inputs, outputs in _split(pairs, features):
                gradients = inner[outputs]  # (pairs, B, O)
                if grad_weight is not None:
                    grad_matrix.addmm_(gradients.flatten(0, 1).T, features[inputs].flatten(0, 1))
                if grad_features is not None:
                    grad_features.index_add_(0, inputs, gradients @ matrix)
            if grad_weight is not None:
                grad_weight.flatten(2)[..., tap] = grad_matrix
        return grad_features, grad_weight, inner.sum((0, 1)) if wants_bias else None, None, None


def _split(pairs: Pairs, features: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield chunks of pairs that are gathered at a time."""
    size = max(1, GATHER_BYTES // (features[0].numel() * features.element_size()))
    yield from zip(torch.split(pairs.inputs, size), torch.split(pairs.outputs, size), strict=True)
