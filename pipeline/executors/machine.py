"""Resources of this machine: worker processes and a torch device, set by the environment and never by `params.yaml`."""

import multiprocessing
import os
import platform
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from pipeline.executors.process import die_with_parent

if TYPE_CHECKING:
    import torch

T = TypeVar("T")
R = TypeVar("R")


def count_workers() -> int:
    """Return the number of worker processes: `CUEPOINT_WORKERS`, or one per core that this process may use.

    Raises:
        ValueError: when the variable is not a positive number.
    """
    text = os.environ.get("CUEPOINT_WORKERS", "")
    if not text:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if not text.isdecimal() or int(text) == 0:
        raise ValueError(f"CUEPOINT_WORKERS = {text!r} is not a number of processes; set a number of at least 1")
    return int(text)


def choose_device() -> "torch.device":
    """Return the torch device to train on: `CUEPOINT_DEVICE` (cpu, cuda, cuda:1), else a GPU if there is one."""
    import torch

    return torch.device(os.environ.get("CUEPOINT_DEVICE") or ("cuda" if torch.cuda.is_available() else "cpu"))


def prepare_torch(num_threads: int) -> None:
    """Make torch deterministic with this many threads; results are equal for equal thread counts."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read by CUDA when it starts
    import torch

    torch.set_num_threads(num_threads)
    torch.use_deterministic_algorithms(True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined] # it costs a tenth of a step


def describe_machine() -> str:
    """Return the facts that timings depend on: cores, processor and Python."""
    return f"{os.cpu_count()} cores ({_read_processor()}), Python {platform.python_version()}"


def _read_processor() -> str:
    """Return the processor's name, or its architecture if the system does not name it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def map_in_processes(function: Callable[[T], R], items: Iterable[T], *, what: str) -> Iterator[R]:
    """Yield the results of a pure function as worker processes finish them, in any order.

    The workers end with this process. The first error of a worker is raised here, after the others are cancelled.

    Raises:
        OSError: when a worker dies, for instance because memory runs out.
    """
    waiting = list(items)
    if not waiting:
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(count_workers(), len(waiting)), context, initializer=die_with_parent) as pool:
        futures = [pool.submit(function, item) for item in waiting]
        try:
            for future in as_completed(futures):
                yield future.result()
        except BrokenProcessPool as error:
            raise OSError(
                f"a worker process died during the task {what!r}, perhaps for lack of memory; use fewer: CUEPOINT_WORKERS=1"
            ) from error
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
