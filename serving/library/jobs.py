"""Work on files, one at a time in a process of its own, in the order in which it was asked for."""

import logging
import threading
from collections import deque
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from corpus.isolation import Budget, Failure, Progress, Success, Work, run_isolated

_ATTEMPTS = 2  # a process that ended may have been ended with the service, or by another's hunger for memory

logger = logging.getLogger("bentoml.cuepoint")


@dataclass(frozen=True, slots=True)
class Job:
    """Work on a file; `finish` gets what became of it."""

    name: str
    path: Path
    work: Work[Any]
    finish: Callable[[Success[Any] | Failure], None]


class JobQueue:
    """Carries out jobs; one that is cancelled, or unfinished when the queue stops, finishes with nothing."""

    def __init__(self, budget: Budget | None = None) -> None:
        """Prepare an empty queue; `start` begins to work."""
        self._budget = budget or Budget()
        self._waiting: deque[Job] = deque()
        self._changed = threading.Condition(threading.RLock())
        self._running: Job | None = None
        self._progress = 0.0
        self._is_stopped = False
        self._thread = threading.Thread(target=self._work, name="library-jobs", daemon=True)

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def stop(self) -> None:
        """Begin nothing more, and drop what the running job gives."""
        with self._changed:
            self._is_stopped, self._running = True, None
            self._waiting.clear()
            self._changed.notify_all()

    def add(self, job: Job) -> None:
        """Put a job at the end, unless one of its name waits or runs."""
        with self._changed:
            if not self.is_known(job.name):
                self._waiting.append(job)
                self._changed.notify_all()

    def cancel(self, name: str) -> None:
        """Take a job away; of one that runs, drop what it gives."""
        with self._changed:
            self._waiting = deque(job for job in self._waiting if job.name != name)
            if self._running and self._running.name == name:
                self._running = None

    def find_progress(self, name: str) -> float | None:
        """Return the share of a running job that is done, `None` for a job that does not run."""
        with self._changed:
            return self._progress if self._running and self._running.name == name else None

    def is_known(self, name: str) -> bool:
        """Tell whether a job waits or runs."""
        with self._changed:
            return any(job.name == name for job in (*self._waiting, self._running) if job)

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._is_stopped or bool(self._waiting))
                if self._is_stopped:
                    return
                job = self._running = self._waiting.popleft()
                self._progress = 0.0
            try:
                self._run(job)
            except Exception:  # one job must not end all others
                logger.exception("the job %s failed", job.name)
            finally:
                with self._changed:
                    self._running = None

    def _run(self, job: Job) -> None:
        for attempt in range(1, _ATTEMPTS + 1):
            outcome = self._attempt(job)
            if outcome is None:
                return
            if isinstance(outcome, Success) or outcome.is_final or attempt == _ATTEMPTS:
                job.finish(outcome)
                return

    def _attempt(self, job: Job) -> Success[Any] | Failure | None:
        """Return what became of a job, `None` where nobody asks any more."""
        events = cast(
            "Generator[Progress | Success[Any] | Failure]",
            run_isolated(job.work, [job.path], num_workers=1, budget=self._budget),
        )
        try:
            for event in events:
                with self._changed:
                    if self._running is not job:
                        return None
                    if isinstance(event, Progress):
                        self._progress = max(self._progress, event.share)
                if not isinstance(event, Progress):
                    return event
        finally:
            events.close()  # this ends the process
        return None
