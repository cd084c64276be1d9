"""Work on files in child processes that may fail, hang or die of one file without harm to the others."""

import contextlib
import multiprocessing
import os
import resource
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, Generic, TypeVar

R = TypeVar("R")
Report = Callable[[float], None]
Work = Callable[[Path, Report], R]

_MEBIBYTE = 1 << 20
_END_S = 5.0


@dataclass(frozen=True, slots=True)
class Budget:
    """What one file may cost: seconds without a sign of life, of which its size gives more, and bytes of address space,
    beyond what is mapped when its process is ready to work."""

    silence_s: float = 300.0
    silence_s_per_mebibyte: float = 2.0
    memory_bytes: int = 4 << 30

    def compute_silence_s(self, path: Path) -> float:
        """Return the seconds that may pass without a sign of life."""
        size = path.stat().st_size if path.exists() else 0  # what became of a file that is gone is the worker's to say
        return self.silence_s + self.silence_s_per_mebibyte * size / _MEBIBYTE


@dataclass(frozen=True, slots=True)
class Progress:
    """A sign of life: the share of the work on a file that is done, in [0, 1]."""

    path: Path
    share: float


@dataclass(frozen=True, slots=True)
class Success(Generic[R]):
    """What the work on a file gave."""

    path: Path
    value: R


@dataclass(frozen=True, slots=True)
class Failure:
    """Why the work on a file gave nothing. A file that ended or stopped its process may fare better another time."""

    path: Path
    reason: str
    is_final: bool  # the work itself refused the file by a `ValueError`


def run_isolated(
    work: Work[R], paths: Sequence[Path], *, num_workers: int, budget: Budget
) -> Iterator[Progress | Success[R] | Failure]:
    """Yield what happens to each file, in any order; the last of each is its `Success` or its `Failure`.

    `work` is called in a child process, which serves many files, and must be picklable; it is given the file and a
    function to report the share that is done. A `ValueError`, `OSError` or `MemoryError` of it is the file's failure, and
    so is a process that dies, or gives no sign of life for longer than the budget allows.
    """
    waiting = deque(paths)
    workers = [_Worker(work, budget) for _ in range(min(num_workers, len(waiting)))]
    try:
        while waiting or any(worker.path for worker in workers):
            _deal(waiting, workers)
            busy = [worker for worker in workers if worker.path]
            remaining_s = min(worker.deadline_s for worker in busy) - time.monotonic()
            ready = wait([worker.connection for worker in busy], timeout=max(0.0, remaining_s))
            for worker in busy:
                if worker.connection in ready:
                    yield worker.take()
                elif time.monotonic() > worker.deadline_s and not worker.connection.poll():
                    yield worker.give_up()
    finally:
        for worker in workers:
            worker.end()


def _deal(waiting: deque[Path], workers: Sequence["_Worker[Any]"]) -> None:
    """Give every worker a file to work on, and one in advance while many wait: it need not wait for this process."""
    for num_held in (0, 1):
        for worker in workers:
            if worker.num_held == num_held and len(waiting) > num_held * len(workers):
                worker.give(waiting.popleft())


class _Worker(Generic[R]):
    """A child process that works on one file after the other until its connection closes."""

    def __init__(self, work: Work[R], budget: Budget) -> None:
        self._work = work
        self._budget = budget
        self._held: deque[Path] = deque()  # the first is the one at work
        self._start()

    @property
    def path(self) -> Path | None:
        """What it is at work on."""
        return self._held[0] if self._held else None

    @property
    def num_held(self) -> int:
        """The files that it was given and has not finished."""
        return len(self._held)

    def give(self, path: Path) -> None:
        self._held.append(path)
        if len(self._held) == 1:
            self._start_clock(path)
        with contextlib.suppress(ConnectionError):  # of a process that is dead already, `take` says so
            self.connection.send(path)

    def take(self) -> Progress | Success[R] | Failure:
        """Receive what its process says; where that died, say so and start another."""
        try:
            event: Progress | Success[R] | Failure = self.connection.recv()
        except (EOFError, ConnectionError):
            self._process.join()
            return self._replace(f"the process that read it ended with code {self._process.exitcode}")
        if not isinstance(event, Progress):
            self._held.popleft()
        if self._held:
            self._start_clock(self._held[0])
        return event

    def _start_clock(self, path: Path) -> None:
        self._silence_s = self._budget.compute_silence_s(path)
        self.deadline_s = time.monotonic() + self._silence_s

    def give_up(self) -> Failure:
        """End a process that says nothing for too long, and start another."""
        return self._replace(f"the process that read it said nothing for {self._silence_s:.0f} s")

    def end(self) -> None:
        """End the process: at once where it is at work, otherwise it ends by itself as its connection closes."""
        if not self._held:
            self.connection.close()
            self._process.join(timeout=_END_S)
        self._end_now()

    def _end_now(self) -> None:
        self.connection.close()
        self._process.kill()
        self._process.join(timeout=_END_S)

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, self._work, self._budget.memory_bytes), daemon=True)
        self._process.start()
        theirs.close()

    def _replace(self, reason: str) -> Failure:
        failure = Failure(self._held.popleft(), reason, is_final=False)
        held = list(self._held)
        self._end_now()
        self._held.clear()
        self._start()
        for path in held:
            self.give(path)
        return failure


def _serve(connection: Connection, work: Work[Any], memory_bytes: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends its workers
    threading.Thread(target=_end_with_parent, name="parent-watch", daemon=True).start()
    if sys.platform.startswith("linux"):
        limit = _count_mapped_bytes() + memory_bytes  # libraries such as torch map more than their work needs
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    while True:
        try:
            path = connection.recv()
        except EOFError:
            return
        connection.send(_try(work, path, connection, memory_bytes))


def _try(work: Work[Any], path: Path, connection: Connection, memory_bytes: int) -> Success[Any] | Failure:
    try:
        return Success(path, work(path, lambda share: connection.send(Progress(path, share))))
    except ValueError as error:
        return Failure(path, str(error), is_final=True)
    except MemoryError:
        return Failure(path, f"it needs more than {memory_bytes / _MEBIBYTE:.0f} MiB of memory", is_final=False)
    except OSError as error:
        return Failure(path, f"it cannot be read: {error.strerror}" if error.strerror else str(error), is_final=False)


def _count_mapped_bytes() -> int:
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)
