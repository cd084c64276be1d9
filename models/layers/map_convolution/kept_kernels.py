"""The transformed kernel of a layer, laid out once for all products with it."""

import torch
from torch import Tensor


class KeptKernels:
    """C matrices (I, O) on the right of products over channels.

    In float32 they are packed by oneDNN, where torch has it: a product with few rows then takes two thirds of the time.
    """

    def __init__(self, transformed: Tensor) -> None:
        """Keep the components (C, I, O) of a kernel."""
        self._packed: list[Tensor] = []
        self._plain: Tensor | None = None
        if transformed.dtype == torch.float32 and torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
            pack = torch.ops.mkldnn._reorder_linear_weight  # noqa: SLF001 - what torch's compiler calls for frozen weights
            self._packed = [pack(kernel.T) for kernel in transformed]
        else:
            self._plain = transformed

    def multiply(self, components: Tensor, found: Tensor, part: slice) -> None:
        """Put the products of some components, (C, rows, I), with their kernels into `found`, (C, rows, O)."""
        if self._plain is not None:
            torch.bmm(components[part], self._plain[part], out=found[part])
            return
        product = torch.ops.mkldnn._linear_pointwise  # noqa: SLF001
        for number in range(part.start, part.stop):
            found[number].copy_(product(components[number], self._packed[number], None, "none", [], ""))
