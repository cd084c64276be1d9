"""Worker of a challenger: a bounded number of threads with a bounded queue, which never makes callers wait."""

import contextlib
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar

R = TypeVar("R")

_SCHEDSTAT = Path("/proc/thread-self/schedstat")


class StoppedError(Exception):
    """The worker stopped before it started a piece of work."""


class Worker:
    """Carries out work in the order of submission."""

    def __init__(self, *, num_threads: int, max_waiting: int, niceness: int = 0) -> None:
        """Start the threads, at a lower priority by `niceness`; threads that they start inherit it."""
        self._max_waiting, self._niceness = max_waiting, niceness
        self._waiting: deque[tuple[Callable[[], Any], Future[Any]]] = deque()
        self._changed = threading.Condition()
        self._is_stopped = False
        self._begun_s: dict[int, float] = {}  # thread -> when its work began
        for number in range(num_threads):
            threading.Thread(target=self._work, name=f"challenger-{number}", daemon=True).start()

    def submit(self, work: Callable[[], R]) -> Future[R] | None:
        """Append work without waiting; return `None` if the queue is full or the worker was stopped."""
        future: Future[R] = Future()
        with self._changed:
            if self._is_stopped or len(self._waiting) >= self._max_waiting:
                return None
            self._waiting.append((work, future))
            self._changed.notify()
        return future

    def measure_busy_s(self) -> float:
        """Return how long the oldest piece of work has run, 0 if none runs."""
        with self._changed:
            return time.monotonic() - min(self._begun_s.values()) if self._begun_s else 0.0

    def stop(self) -> None:
        """Start no more work: waiting work fails with `StoppedError`, running work finishes."""
        with self._changed:
            self._is_stopped = True
            dropped = list(self._waiting)
            self._waiting.clear()
            self._changed.notify_all()
        for _, future in dropped:
            if future.set_running_or_notify_cancel():
                future.set_exception(StoppedError())

    def _work(self) -> None:
        if self._niceness:
            with contextlib.suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), self._niceness)  # Linux: of this thread only
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._is_stopped or bool(self._waiting))
                if self._is_stopped:
                    return
                work, future = self._waiting.popleft()
                self._begun_s[threading.get_ident()] = time.monotonic()
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(work())
                except Exception as error:  # the caller gets it from the future
                    future.set_exception(error)
            with self._changed:
                del self._begun_s[threading.get_ident()]


def read_queue_wait_s() -> float:
    """Return how long this thread has waited for a processor, 0 if the system does not report it."""
    try:
        return int(_SCHEDSTAT.read_text(encoding="ascii").split()[1]) / 1e9
    except (OSError, IndexError, ValueError):
        return 0.0
