"""Losses in single precision, whatever precision the network runs in."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields, is_dataclass, replace
from typing import Any

import torch
from torch import Tensor

from models.training.schema import Precision


def require_device(precision: Precision, device: torch.device) -> None:
    """Refuse a precision that a device cannot train in.

    Raises:
        ValueError: naming the device and what it can.
    """
    if precision == "16-mixed" and device.type != "cuda":
        raise ValueError(
            f"training.precision = 16-mixed needs a CUDA device, but this training runs on {device.type}; "
            "set training.precision to bf16-mixed or 32"
        )


@contextmanager
def single_precision(device: torch.device) -> Iterator[None]:
    """Compute in the types of the inputs, inside of mixed precision too."""
    with torch.autocast(device.type, enabled=False):
        yield


def widen(value: Any) -> Any:
    """Return a tensor of 16 bits, or whatever holds some (tuples, named tuples, dataclasses), in float32; others unchanged."""
    if isinstance(value, Tensor):
        return value.float() if value.dtype in (torch.bfloat16, torch.float16) else value
    if isinstance(value, tuple):
        parts = [widen(part) for part in value]
        return type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{one.name: widen(getattr(value, one.name)) for one in fields(value)})
    return value
