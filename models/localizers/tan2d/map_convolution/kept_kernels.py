"""Transformed kernel of a layer, laid out once for all its products."""

import torch
from torch import Tensor


class KeptKernels:
    """C matrices (I, O), the right factors of products over channels.

    In float32, oneDNN packs them if torch has it, which cuts the time of a product with few rows to two thirds.
    """

    def __init__(self, transformed: Tensor) -> None:
        """Keep the components (C, I, O) of a kernel."""
        self._packed: list[Tensor] = []
        self._plain: Tensor | None = None
        if transformed.dtype == torch.float32 and torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
            pack = torch.ops.mkldnn._reorder_linear_weight  # noqa: SLF001 - torch's compiler calls it for frozen weights
            self._packed = [pack(kernel.T) for kernel in transformed]
        else:
            self._plain = transformed

    def multiply(self, components: Tensor, found: Tensor, part: slice) -> None:
        """Write the products of some components, (C, rows, I), with their kernels to `found`, (C, rows, O)."""
        if self._plain is not None:
            torch.bmm(components[part], self._plain[part], out=found[part])
            return
        product = torch.ops.mkldnn._linear_pointwise  # noqa: SLF001
        for number in range(part.start, part.stop):
            found[number].copy_(product(components[number], self._packed[number], None, "none", [], ""))
