"""Cache of transformed weights between calls, valid as long as the weights do not change."""

import weakref
from typing import Any, NamedTuple

import torch
from torch import Tensor

from models.localizers.tan2d.map_convolution.kept_kernels import KeptKernels
from models.localizers.tan2d.map_convolution.tile_convolution import TileMatrices, TileMethod, transform_weights


class _Entry(NamedTuple):
    weight: "weakref.ref[Tensor]"
    version: int
    address: int
    method: TileMethod
    kernels: KeptKernels


class TransformCache:
    """The transformed weights of each layer. Copies and pickles of the cache are empty.

    Torch's version counter detects changes in place. Writing through `.data` bypasses the counter: call `clear` after it.
    """

    def __init__(self) -> None:
        """Start empty."""
        self._entries: dict[int, _Entry] = {}

    def clear(self) -> None:
        """Drop all weights and release their memory."""
        self._entries.clear()

    def get(self, layer: int, weight: Tensor, method: TileMethod, matrices: TileMatrices) -> KeptKernels | None:
        """Return the transformed kernel of a layer; None for inference tensors, whose changes are not counted."""
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
        """Return an empty state, because the content can be recomputed."""
        return {"_entries": {}}
