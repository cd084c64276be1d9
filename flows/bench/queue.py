"""Runs each arm in its own process, with a time limit: timed arms alone, the others one per core."""

import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, NamedTuple

from corpus.files import read_json
from flows.bench.arm_run import RECORD
from flows.bench.arms import Arm
from flows.bench.clock import load_spent
from flows.bench.records import Record, Status
from pipeline.dvc.process import build_environment

_POLL_S = 0.1
_TERM_GRACE_S = 10.0
_INTERRUPTED = 130
_TAIL_LINES = 3


class Job(NamedTuple):
    """An arm with the key of its result."""

    arm: Arm
    key: str


class Ended(NamedTuple):
    """Outcome of a job: a record if it finished, else a reason."""

    job: Job
    status: Status
    wall_s: float
    record: Record | None = None
    reason: str = ""


@dataclass
class Queue:
    """Settings of the runs: bench, folder, time limit of a job, and cores, which bound threads and simultaneous jobs."""

    bench: str
    work_dir: Path
    max_wall_s: float
    cores: int
    program: Sequence[str] = field(default=(sys.executable, "-m", "flows.bench.arm_run"))

    def run(self, jobs: Iterable[Job], report: Callable[[Ended], object]) -> None:
        """Run all jobs and report each as it ends; an interruption ends the running processes."""
        for batch in self._split(list(jobs)):
            timed = batch[0].arm.is_timed
            with _end_all() as running:
                waiting = list(batch)
                while waiting or running:
                    while waiting and len(running) < (1 if timed else self.cores):
                        running.append(self._start(waiting.pop(0), threads=self.cores if timed else 1))
                    for process in [process for process in running if process.has_ended()]:
                        running.remove(process)
                        report(process.conclude())
                    time.sleep(_POLL_S)

    def find_finished(self, job: Job) -> Record | None:
        """Return the record that an interrupted bench left behind."""
        path = self._folder(job) / RECORD
        return Record.model_validate(read_json(path)) if path.is_file() else None

    def start_over(self, job: Job) -> None:
        """Remove the training state and the spent time of a job."""
        shutil.rmtree(self._folder(job), ignore_errors=True)

    def forget(self, kept: Container[str]) -> None:
        """Remove the folders of all jobs except the keys in `kept`, whose spent time still counts."""
        for folder in self.work_dir.glob("*"):
            if folder.name not in kept:
                shutil.rmtree(folder, ignore_errors=True)

    def _split(self, jobs: list[Job]) -> Iterator[list[Job]]:
        """Yield the timed jobs one by one, then the others together."""
        yield from ([job] for job in jobs if job.arm.is_timed)
        others = [job for job in jobs if not job.arm.is_timed]
        if others:
            yield others

    def _start(self, job: Job, *, threads: int) -> "ArmProcess":
        folder = self._folder(job)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / RECORD).unlink(missing_ok=True)
        arguments = [job.arm.name, "--bench", self.bench, "--threads", str(threads), "--folder", str(folder)]
        return ArmProcess(job, [*self.program, *arguments], folder, self.max_wall_s)

    def _folder(self, job: Job) -> Path:
        return self.work_dir / job.key


class ArmProcess:
    """The process of a job, with its remaining time."""

    def __init__(self, job: Job, command: Sequence[str], folder: Path, max_wall_s: float) -> None:
        """Start the process; the time of earlier processes of the same job counts."""
        self._job, self._folder, self._max_wall_s = job, folder, max_wall_s
        self._spent_s = load_spent(folder).wall_s
        self._start_s = time.monotonic()
        self._log: IO[bytes] = (folder / "log.txt").open("wb")
        self._process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=self._log, stderr=subprocess.STDOUT, env=build_environment()
        )

    def has_ended(self) -> bool:
        """Tell whether the process ended or has used up its time."""
        return self._process.poll() is not None or self._measure_s() >= self._max_wall_s

    def conclude(self) -> Ended:
        """End the process and return its outcome.

        Raises:
            KeyboardInterrupt: when the process was interrupted, which is not an outcome.
        """
        code, wall_s = self._process.poll(), self._measure_s()
        self.end()
        if code == 0:
            record = Record.model_validate(read_json(self._folder / RECORD))
            return Ended(self._job, "done", wall_s, record)
        if code is None:
            return Ended(self._job, "cut", wall_s, reason=f"not finished after {self._max_wall_s:g} s")
        if code == _INTERRUPTED:
            raise KeyboardInterrupt
        return Ended(self._job, "failed", wall_s, reason=self._read_reason(code))

    def end(self) -> None:
        """End the process: SIGTERM, so that it can close its run, then SIGKILL after a grace period."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(_TERM_GRACE_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
        self._process.wait()
        self._log.close()

    def _measure_s(self) -> float:
        return self._spent_s + time.monotonic() - self._start_s

    def _read_reason(self, code: int) -> str:
        """Return the last output of the process, or the signal that ended it."""
        if code < 0:
            return f"ended by signal {-code}"
        lines = (self._folder / "log.txt").read_text(encoding="utf-8", errors="replace").strip().splitlines()
        said = [line for line in lines if line.startswith("arm: error: ")] or lines[-_TAIL_LINES:]
        return " ".join(said).removeprefix("arm: error: ") or f"ended with code {code}"


@contextmanager
def _end_all() -> Iterator[list[ArmProcess]]:
    """Yield a list of processes; end those still in it when the block ends."""
    running: list[ArmProcess] = []
    try:
        yield running
    finally:
        for process in running:
            process.end()
