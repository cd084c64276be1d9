"""Memory of a process from the kernel's counters (Linux), at one time and sampled over time.

`resource.getrusage` is unsuitable for a child process, because its peak starts at the memory of the parent.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


def read_status(name: str, process: int | str = "self") -> int:
    """Return a figure of a process in bytes: VmRSS (current), VmHWM (peak)."""
    lines = Path(f"/proc/{process}/status").read_text(encoding="ascii").splitlines()
    (line,) = (line for line in lines if line.startswith(f"{name}:"))
    return int(line.split()[1]) * 1024


@contextmanager
def sample(read: Callable[[], T], *, period_s: float) -> Iterator[list[T]]:
    """Collect the results of `read`, called once a period during the block."""
    samples: list[T] = []
    done = threading.Event()

    def collect() -> None:
        while not done.wait(period_s):
            samples.append(read())

    thread = threading.Thread(target=collect)
    thread.start()
    try:
        yield samples
    finally:
        done.set()
        thread.join()
