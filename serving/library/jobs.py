"""Queue of jobs on files: one at a time, in order, each in a separate process."""

import logging
import threading
from collections import deque
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from corpus.isolation import Budget, Failure, Interrupt, Progress, Success, Work, run_isolated

_END_LIMIT_S = 10.0  # for a killed process to end; one that waits for a disk ends later
_ATTEMPTS = 2  # a process may have been killed with the service, or because another one used up the memory

logger = logging.getLogger("bentoml.cuepoint")


@dataclass(frozen=True, slots=True)
class Job:
    """Work on a file; `finish` gets its outcome."""

    name: str
    path: Path
    work: Work[Any]
    finish: Callable[[Success[Any] | Failure], None]


@dataclass(slots=True)
class _Run:
    """A running job. `is_wanted` turns false when the job is cancelled; `has_ended` is set when its process ends."""

    job: Job
    interrupt: Interrupt = field(default_factory=Interrupt)
    has_ended: threading.Event = field(default_factory=threading.Event)
    progress: float = 0.0
    is_wanted: bool = True

    def end(self) -> None:
        """End the process at once, and drop its outcome."""
        self.is_wanted = False
        if not self.has_ended.is_set():
            self.interrupt.set()


class JobQueue:
    """Runs jobs. A job that is cancelled, or unfinished when the queue stops, never calls `finish`."""

    def __init__(self, budget: Budget | None = None) -> None:
        """Prepare an empty queue; `start` starts the work."""
        self._budget = budget or Budget()
        self._waiting: deque[Job] = deque()
        self._changed = threading.Condition(threading.RLock())
        self._running: _Run | None = None
        self._is_stopped = False
        self._thread = threading.Thread(target=self._work, name="library-jobs", daemon=True)

    def start(self) -> None:
        """Start the work."""
        self._thread.start()

    def stop(self) -> None:
        """Start no more jobs, and end the process of the running one."""
        with self._changed:
            self._is_stopped = True
            self._waiting.clear()
            self._end_run()
            self._changed.notify_all()

    def join(self) -> None:
        """After `stop`, wait until the running job has ended, so that it writes nothing more."""
        if self._thread.is_alive():
            self._thread.join(_END_LIMIT_S)

    def add(self, job: Job) -> None:
        """Append a job, unless one with its name waits or runs."""
        with self._changed:
            if not self.is_known(job.name):
                self._waiting.append(job)
                self._changed.notify_all()

    def cancel(self, name: str) -> bool:
        """Cancel a job. Return whether it ran and its process has ended, so that it writes nothing more."""
        with self._changed:
            self._waiting = deque(job for job in self._waiting if job.name != name)
            run = self._end_run() if self._running and self._running.job.name == name else None
        return run is not None and run.has_ended.wait(_END_LIMIT_S)

    def find_progress(self, name: str) -> float | None:
        """Return the share of a running job that is done, `None` for a job that does not run."""
        with self._changed:
            return self._running.progress if self._running and self._running.job.name == name else None

    def is_known(self, name: str) -> bool:
        """Tell whether a job waits or runs."""
        with self._changed:
            jobs = [*self._waiting, *([self._running.job] if self._running else [])]
            return any(job.name == name for job in jobs)

    def _end_run(self) -> _Run | None:
        """End the running job and return its run."""
        run, self._running = self._running, None
        if run:
            run.end()
        return run

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._is_stopped or bool(self._waiting))
                if self._is_stopped:
                    return
                run = self._running = _Run(self._waiting.popleft())
            try:
                self._carry_out(run)
            except Exception:  # one job must not end all others
                logger.exception("the job %s failed", run.job.name)
            finally:
                with self._changed:
                    if self._running is run:
                        self._running = None

    def _carry_out(self, run: _Run) -> None:
        outcome = None
        try:
            for _ in range(_ATTEMPTS):
                outcome = self._attempt(run)
                if outcome is None or isinstance(outcome, Success) or outcome.is_final:
                    break
        finally:
            with self._changed:
                run.has_ended.set()
                run.interrupt.close()
                is_wanted = run.is_wanted
        if outcome is not None and is_wanted:
            run.job.finish(outcome)

    def _attempt(self, run: _Run) -> Success[Any] | Failure | None:
        """Return the outcome of a job, `None` if it was cancelled."""
        work, paths = run.job.work, [run.job.path]
        events = cast(
            "Generator[Progress | Success[Any] | Failure]",
            run_isolated(work, paths, num_workers=1, budget=self._budget, interrupt=run.interrupt),
        )
        try:
            for event in events:
                if not isinstance(event, Progress):
                    return event
                with self._changed:
                    run.progress = max(run.progress, event.share)
        finally:
            events.close()  # this ends the process
        return None
