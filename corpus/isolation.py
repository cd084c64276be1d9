"""Isolation of work on files: child processes that may fail, hang or crash on one file without harm to the others."""

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
    """Resource limits of one file: a timeout without progress that grows with the file size, and address space.

    `memory_bytes` counts beyond the address space that a process has mapped when it is ready to work.
    """

    silence_s: float = 300.0
    silence_s_per_mebibyte: float = 2.0
    memory_bytes: int = 4 << 30

    def compute_silence_s(self, path: Path) -> float:
        """Return the timeout of a file: the seconds that may pass without progress."""
        size = path.stat().st_size if path.exists() else 0  # the worker reports a file that is gone
        return self.silence_s + self.silence_s_per_mebibyte * size / _MEBIBYTE


@dataclass(frozen=True, slots=True)
class Progress:
    """Progress report: the finished share of the work on a file, in [0, 1]."""

    path: Path
    share: float


@dataclass(frozen=True, slots=True)
class Success(Generic[R]):
    """The result of the work on a file."""

    path: Path
    value: R


@dataclass(frozen=True, slots=True)
class Failure:
    """The reason why the work on a file failed. A retry may succeed unless the failure is final."""

    path: Path
    reason: str
    is_final: bool  # `work` raised `ValueError`; crashes and timeouts are not final


class Interrupt:
    """Interrupt of a `run_isolated` in another thread. It works at once, whatever the processes are doing."""

    def __init__(self) -> None:
        """Prepare an interrupt that is not set."""
        self.connection, self._setter = multiprocessing.Pipe(duplex=False)

    def set(self) -> None:
        """End the work: kill its processes and yield no further event. The interrupt stays set."""
        with contextlib.suppress(OSError):  # the work has ended, and `close` was called
            self._setter.send_bytes(b"end")

    def close(self) -> None:
        """Free the pipe when the work has ended."""
        self._setter.close()
        self.connection.close()


def run_isolated(
    work: Work[R], paths: Sequence[Path], *, num_workers: int, budget: Budget, interrupt: Interrupt | None = None
) -> Iterator[Progress | Success[R] | Failure]:
    """Yield the events of each file, in any order; the last event of a file is its `Success` or `Failure`.

    `work` runs in a child process, which serves many files, and must be picklable. It gets the file and a function that
    reports the finished share. A file fails if `work` raises `ValueError`, `OSError` or `MemoryError`, if the process dies,
    or if it reports no progress for longer than the budget allows. When `interrupt` is set, the iterator and its
    processes end.
    """
    interrupts = [interrupt.connection] if interrupt else []
    waiting = deque(paths)
    workers = [_Worker(work, budget) for _ in range(min(num_workers, len(waiting)))]
    try:
        while waiting or any(worker.path for worker in workers):
            _deal(waiting, workers)
            busy = [worker for worker in workers if worker.path]
            remaining_s = min(worker.deadline_s for worker in busy) - time.monotonic()
            ready = wait([*interrupts, *(worker.connection for worker in busy)], timeout=max(0.0, remaining_s))
            if interrupt and interrupt.connection in ready:
                return
            for worker in busy:
                if worker.connection in ready:
                    yield worker.take()
                elif time.monotonic() > worker.deadline_s and not worker.connection.poll():
                    yield worker.give_up()
    finally:
        for worker in workers:
            worker.end()


def _deal(waiting: deque[Path], workers: Sequence["_Worker[Any]"]) -> None:
    """Give every worker a file, and a second one while many wait, so that workers need not wait for this process."""
    for num_held in (0, 1):
        for worker in workers:
            if worker.num_held == num_held and len(waiting) > num_held * len(workers):
                worker.give(waiting.popleft())


class _Worker(Generic[R]):
    """A child process that handles files one by one until its connection closes."""

    def __init__(self, work: Work[R], budget: Budget) -> None:
        self._work = work
        self._budget = budget
        self._held: deque[Path] = deque()  # the first is the one at work
        self._start()

    @property
    def path(self) -> Path | None:
        """The current file."""
        return self._held[0] if self._held else None

    @property
    def num_held(self) -> int:
        """The number of assigned files that are not finished."""
        return len(self._held)

    def give(self, path: Path) -> None:
        self._held.append(path)
        if len(self._held) == 1:
            self._start_clock(path)
        with contextlib.suppress(ConnectionError):  # `take` reports a process that is dead already
            self.connection.send(path)

    def take(self) -> Progress | Success[R] | Failure:
        """Receive the next event of the process. If the process died, return a failure and start another one."""
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
        """End a process that exceeded its timeout, and start another one."""
        return self._replace(f"the process that read it made no progress for {self._silence_s:.0f} s")

    def end(self) -> None:
        """End the process: kill a busy one; an idle one ends when its connection closes."""
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
