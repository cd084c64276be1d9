"""Cost of an arm so far, on disk every second, so that a killed arm resumes its time as well."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from corpus.files import read_json, write_json

SPENT = "spent.json"
_TICK_S = 1.0


class Spent(NamedTuple):
    """Seconds that an arm has taken, in all its processes together."""

    wall_s: float = 0.0
    cpu_s: float = 0.0


def load_spent(folder: Path) -> Spent:
    """Return the time that an arm has taken so far, zero when it never ran."""
    path = folder / SPENT
    return Spent(**read_json(path)) if path.is_file() else Spent()


class Clock:
    """Seconds since this clock was made, and those of the arm's earlier processes."""

    def __init__(self, folder: Path) -> None:
        """Read the time of earlier processes from the arm's folder."""
        self.before = load_spent(folder)
        self._path = folder / SPENT
        self._start = Spent(time.monotonic(), time.process_time())

    def read(self) -> Spent:
        """Return the seconds so far."""
        wall_s, cpu_s = time.monotonic() - self._start.wall_s, time.process_time() - self._start.cpu_s
        return Spent(self.before.wall_s + wall_s, self.before.cpu_s + cpu_s)

    @contextmanager
    def keep(self) -> Iterator[None]:
        """Write the seconds so far every second of the block."""
        done = threading.Event()

        def write() -> None:
            while not done.wait(_TICK_S):
                write_json(self._path, self.read()._asdict())

        thread = threading.Thread(target=write, name="clock", daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()
