"""What the kernel counts of the memory of a process (Linux), and its course.

`resource.getrusage` is no use to a process that another one started: its peak begins with what that one held.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


def read_status(name: str, process: int | str = "self") -> int:
    """Return a figure of a process in bytes: VmRSS (held now), VmHWM (the most so far)."""
    lines = Path(f"/proc/{process}/status").read_text(encoding="ascii").splitlines()
    (line,) = (line for line in lines if line.startswith(f"{name}:"))
    return int(line.split()[1]) * 1024


@contextmanager
def sample(read: Callable[[], T], *, period_s: float) -> Iterator[list[T]]:
    """Collect what `read` gives, once a period of the block."""
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
