"""Pool of single-threaded workers for a layer, because small matrix products do not scale over OpenMP threads."""

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

import torch

Work = Callable[[int, slice], None]


def run_parts(work: Work, length: int) -> None:
    """Call `work(number, part)` for contiguous parts of `length`, one for each of torch's threads, and wait for all.

    Parts run concurrently and without gradients, so they must write to disjoint memory.
    """
    size = min(torch.get_num_threads(), length)
    if size <= 1:
        work(0, slice(0, length))
        return
    inference = torch.is_inference_mode_enabled()

    def run(number: int) -> None:
        with torch.inference_mode(inference), torch.no_grad():
            work(number, slice(length * number // size, length * (number + 1) // size))

    list(_start_crew(os.getpid(), torch.get_num_threads()).map(run, range(size)))


@lru_cache(maxsize=1)
def _start_crew(_process: int, size: int) -> ThreadPoolExecutor:
    """Return a pool with as many threads as torch uses; each thread computes alone. A forked process starts a new pool."""
    crew = ThreadPoolExecutor(size, thread_name_prefix="map-convolution")
    everyone = threading.Barrier(size)

    def settle(_: int) -> None:
        torch.get_num_threads()  # the first call copies the shared number, which must happen before the change
        torch.set_num_threads(1)  # sets this thread and the shared number
        everyone.wait()

    list(crew.map(settle, range(size)))
    torch.set_num_threads(size)  # restores the shared number
    return crew
