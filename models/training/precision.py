"""Precision of training: checks of device support, and losses in single precision for any precision of the network."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields, is_dataclass, replace
from functools import lru_cache
from typing import Any, get_args

import torch
from torch import Tensor, nn

from models.training.schema import Precision


def require_device(precision: Precision, device: torch.device) -> None:
    """Refuse a precision that a device does not support for training.

    Raises:
        ValueError: naming the device, the precision, the reason and the value to set.
    """
    obstacle = find_obstacle(precision, device)
    if obstacle is None:
        return
    usable = [str(other) for other in get_args(Precision) if other != precision and find_obstacle(other, device) is None]
    raise ValueError(
        f"{_name_device(device)} cannot train with training.precision = {precision}: {obstacle}; "
        f"set training.precision to {' or '.join(usable)}"
    )


@lru_cache
def find_obstacle(precision: Precision, device: torch.device) -> str | None:
    """Return why a device cannot train in a precision, or None if it can.

    The check runs one training step of the layers of the models on the device, once, instead of using a list of processors.
    """
    if precision == 32:
        return None
    if device.type != "cuda":
        return (
            "16 bits with scaled gradients need a CUDA device" if precision == "16-mixed" else _try_layers(torch.bfloat16, device)
        )
    if precision == "bf16-mixed" and not torch.cuda.is_bf16_supported(including_emulation=False):
        return "this GPU has no arithmetic in bf16"
    return _try_layers(torch.bfloat16 if precision == "bf16-mixed" else torch.float16, device)


def _try_layers(dtype: torch.dtype, device: torch.device) -> str | None:
    """Return the first error line of a training step in `dtype` on a device, or None. Random states do not change."""
    with torch.random.fork_rng(devices=[]):
        layers = (
            nn.Linear(8, 8),
            nn.Conv1d(8, 8, 3, padding=1),
            nn.Conv2d(1, 1, 3, padding=1),
            nn.LSTM(8, 8, batch_first=True, bidirectional=True),
        )
    for layer in layers:
        shape = (2, 1, 8, 8) if isinstance(layer, nn.Conv2d) else (2, 8, 8)
        try:
            with torch.enable_grad(), torch.autocast(device.type, dtype=dtype):
                found = layer.to(device)(torch.ones(shape, device=device))
            (found[0] if isinstance(found, tuple) else found).float().sum().backward()
        except (RuntimeError, NotImplementedError) as error:
            return f"{type(layer).__name__} fails ({str(error).partition('. ')[0].splitlines()[0]})"
    return None


def _name_device(device: torch.device) -> str:
    """Return the type of a device and its model, if known."""
    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    return f"{device} (instructions up to {torch.backends.cpu.get_cpu_capability()})" if device.type == "cpu" else str(device)


@contextmanager
def single_precision(device: torch.device) -> Iterator[None]:
    """Compute in the types of the inputs, even inside mixed precision."""
    with torch.autocast(device.type, enabled=False):
        yield


def widen(value: Any) -> Any:
    """Convert 16-bit tensors, also inside tuples, named tuples and dataclasses, to float32; keep other values."""
    if isinstance(value, Tensor):
        return value.float() if value.dtype in (torch.bfloat16, torch.float16) else value
    if isinstance(value, tuple):
        parts = [widen(part) for part in value]
        return type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{one.name: widen(getattr(value, one.name)) for one in fields(value)})
    return value
