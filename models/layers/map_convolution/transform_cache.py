"""Transformed weights kept between calls, for as long as the weights stay what they were."""

import weakref
from typing import Any, NamedTuple

import torch
from torch import Tensor

from models.layers.map_convolution.kept_kernels import KeptKernels
from models.layers.map_convolution.tile_convolution import TileMatrices, TileMethod, transform_weights


class _Entry(NamedTuple):
    weight: "weakref.ref[Tensor]"
    version: int
    address: int
    method: TileMethod
    kernels: KeptKernels


class TransformCache:
    """The transformed weights of each layer; a copy or a pickle of it is empty.

    A change in place is noticed by the version that torch counts. Writing through `.data` hides from that count:
    call `clear` after it.
    """

    def __init__(self) -> None:
        """Start empty."""
        self._entries: dict[int, _Entry] = {}

    def clear(self) -> None:
        """Forget all weights and give their memory back."""
        self._entries.clear()

    def get(self, layer: int, weight: Tensor, method: TileMethod, matrices: TileMatrices) -> KeptKernels | None:
        """Return a layer's transformed kernel; None for inference tensors, whose changes are not counted."""
        if weight.is_inference():
            return None
        entry = self._entries.get(layer)
        state = (weight._version, weight.data_ptr(), method)  # noqa: SLF001 - torch has no other name for it
        if entry is None or entry.weight() is not weight or entry[1:4] != state:
            self._entries.pop(layer, None)
            with torch.no_grad():
                turned = weight.detach().transpose(0, 1).contiguous()  # a product reads (I, O) faster than (O, I)
                found = weight.new_empty(len(matrices.weights), *turned.shape[:2])
                transformed = transform_weights(turned, matrices.weights, found)
            entry = self._entries[layer] = _Entry(weakref.ref(weight), *state, KeptKernels(transformed))
        return entry.kernels

    def __getstate__(self) -> dict[str, Any]:
        """Return nothing of what is kept: it can be computed again."""
        return {"_entries": {}}
