"""Threads that share the work of a layer, each computing alone: small matrix products do not scale over OpenMP's threads."""

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

import torch

Work = Callable[[int, slice], None]


def run_parts(work: Work, length: int) -> None:
    """Call `work(number, part)` for contiguous parts of `length`, one for each of torch's threads, and wait for all.

    Parts run at the same time, without gradients: they must write to different places.
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
    """Return as many threads as torch has here, each of which computes on its own; a forked process starts others."""
    crew = ThreadPoolExecutor(size, thread_name_prefix="map-convolution")
    everyone = threading.Barrier(size)

    def settle(_: int) -> None:
        torch.get_num_threads()  # a thread takes the number that all share when it first asks, and would do so later
        torch.set_num_threads(1)  # of this thread, and the number that all share
        everyone.wait()

    list(crew.map(settle, range(size)))
    torch.set_num_threads(size)  # what all share again
    return crew
