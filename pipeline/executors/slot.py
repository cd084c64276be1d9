"""The slot of a device: one stage at a time computes on a GPU of this machine, or trains on the CPU of this checkout.

A stage holds the slot itself, so that it counts for `dvc repro`, for a scheduled flow and for a stage that runs alone. The
kernel frees the slot when the process dies. The limit of Prefect shows the same queue in its pages; it guards nothing.
"""

import ctypes
import math
import os
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from pipeline.executors.process import hold_lock
from pipeline.paths import find_cache_dir

GPU_STAGES = frozenset({"pretrain", "extract", "train"})  # those that compute on `CUEPOINT_DEVICE`
_SLOTS = "CUEPOINT_SLOTS"
_CPU = "cpu"


class Slot(NamedTuple):
    """The device of a slot, and the lock file that its holder signs."""

    device: str
    path: Path


@contextmanager
def hold_slot(stage: str) -> Iterator[None]:
    """Hold the slot of the device until the block ends, if the stage computes on a device; wait for the present holder.

    `stage` is the name of its program, such as `train-localizer`. The wait is announced with the holder's process, stage,
    folder and start.

    Raises:
        ValueError: when `CUEPOINT_DEVICE` names a GPU that this process cannot see.
    """
    if stage.partition("-")[0] not in GPU_STAGES:
        yield
        return
    slot = find_slot()
    with hold_lock(slot.path, what=f"stage {stage}", wait_s=math.inf, of=f"the slot of device {slot.device}"):
        yield


def find_slot() -> Slot:
    """Return the slot of the device that `choose_device` chooses.

    Locks of GPUs are in one folder for all users of the machine: `CUEPOINT_SLOTS`, or `cuepoint-slots` in the folder for
    temporary files. Without a GPU, the slot is the CPU trainer of this checkout and its experiments.

    Raises:
        ValueError: when `CUEPOINT_DEVICE` names a GPU that this process cannot see.
    """
    wanted = os.environ.get("CUEPOINT_DEVICE", "")
    if wanted and not wanted.startswith("cuda"):
        return _find_cpu_slot(wanted)
    gpus = list_gpus()
    if not gpus and not wanted:
        return _find_cpu_slot(_CPU)
    number = wanted.partition(":")[2] or "0"
    if not number.isdecimal() or int(number) >= len(gpus):
        raise ValueError(f"CUEPOINT_DEVICE = {wanted!r}, but this process sees {len(gpus)} GPUs; choose another device, or cpu")
    device = f"gpu-{gpus[int(number)]}"
    return Slot(device, _open_shared_folder() / f"{device}.lock")


def list_gpus() -> list[str]:
    """Return the identifiers of the GPUs in the order in which CUDA numbers them for this process, without a context on one."""
    try:
        cuda = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return []
    count = ctypes.c_int(0)
    if cuda.cuInit(0) or cuda.cuDeviceGetCount(ctypes.byref(count)):
        return []
    return [_read_identifier(cuda, number) for number in range(count.value)]


def _read_identifier(cuda: ctypes.CDLL, number: int) -> str:
    """Return the UUID of a GPU or of its MIG instance; the number if the driver does not tell."""
    device, content = ctypes.c_int(), (ctypes.c_ubyte * 16)()
    if cuda.cuDeviceGet(ctypes.byref(device), number) or cuda.cuDeviceGetUuid_v2(ctypes.byref(content), device):
        return str(number)
    return str(uuid.UUID(bytes=bytes(content)))


def _find_cpu_slot(device: str) -> Slot:
    return Slot(device, find_cache_dir() / "locks" / f"slot-{device.replace(':', '-')}.lock")


def _open_shared_folder() -> Path:
    """Return the folder of the GPUs' locks, which every user of the machine may write."""
    folder = Path(os.environ.get(_SLOTS) or Path(tempfile.gettempdir()) / "cuepoint-slots")
    if not folder.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o777)
    return folder
