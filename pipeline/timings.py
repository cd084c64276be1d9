"""Cost of each stage's last run in this checkout, for the closing table; it affects no result."""

import multiprocessing
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from corpus.files import read_json, write_json
from corpus.params import Params
from pipeline.paths import TIMINGS

_WORKER_EXIT_S = 2.0


class Timing(Params):
    """Cost of one run of a stage: time in seconds, memory of its largest process in bytes."""

    wall_s: float
    cpu_s: float
    peak_bytes: int


@contextmanager
def record_timing(stage: str, folder: Path = TIMINGS) -> Iterator[None]:
    """Write the cost of the block to `folder`/<stage>.json; a failing block leaves the previous record."""
    start_s, start_cpu_s = time.monotonic(), _cpu_s()
    yield
    timing = Timing(wall_s=time.monotonic() - start_s, cpu_s=_cpu_s() - start_cpu_s, peak_bytes=_peak_bytes())
    write_json(folder / f"{stage}.json", timing.model_dump())


def load_timings(folder: Path = TIMINGS) -> dict[str, Timing]:
    """Return the last cost of each stage that has run in this checkout."""
    return {path.stem: Timing.model_validate(read_json(path)) for path in sorted(folder.glob("*.json"))}


def _cpu_s() -> float:
    """Return the CPU time of this process and of its ended workers."""
    for worker in multiprocessing.active_children():
        worker.join(_WORKER_EXIT_S)
    usages = (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def _peak_bytes() -> int:
    kibibytes = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return kibibytes * 1024
