"""Jobs run one at a time in separate processes; cancelled jobs never call `finish`."""

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from corpus.isolation import Failure, Report, Success
from loopback import WAIT_LIMIT_S, is_running, wait_until
from serving.library.jobs import Job, JobQueue


def give_size(path: Path, report: Report) -> int:
    report(0.5)
    return path.stat().st_size


def refuse(path: Path, _: Report) -> int:
    raise ValueError(f"{path.name} is no good")


def die_once(path: Path, _: Report) -> int:
    if not (path.parent / "died").exists():
        (path.parent / "died").touch()
        os._exit(9)
    return 7


def wait_for_release(path: Path, report: Report) -> int:
    report(0.25)
    while not (path.parent / "release").exists():
        time.sleep(0.02)
    return 1


def work_for_ever(path: Path, _: Report) -> int:
    (path.parent / "pid").write_text(str(os.getpid()))
    while True:
        time.sleep(1)


class Jobs:
    """A queue and the outcomes of its jobs."""

    def __init__(self, folder: Path) -> None:
        self.queue, self.path = JobQueue(), folder / "file"
        self.path.write_bytes(b"content")
        self.outcomes: list[tuple[str, Any]] = []
        self.done = threading.Semaphore(0)
        self.queue.start()

    def add(self, name: str, work: Any) -> None:
        def finish(outcome: Any) -> None:
            self.outcomes.append((name, outcome.value if isinstance(outcome, Success) else outcome))
            self.done.release()

        self.queue.add(Job(name, self.path, work, finish))

    def wait(self, count: int) -> None:
        for _ in range(count):
            assert self.done.acquire(timeout=WAIT_LIMIT_S)


@pytest.fixture
def jobs(tmp_path: Path) -> Iterator[Jobs]:
    started = Jobs(tmp_path)
    yield started
    started.queue.stop()


def wait_until_running(jobs: Jobs, name: str, share: float) -> None:
    wait_until(lambda: jobs.queue.find_progress(name) == share)


@pytest.mark.slow
def test_jobs_finish_in_their_order_and_one_refusal_does_not_stop_the_others(jobs: Jobs) -> None:
    jobs.add("a", give_size)
    jobs.add("b", refuse)
    jobs.add("c", give_size)
    jobs.wait(3)
    refusal = Failure(jobs.path, "file is no good", is_final=True)
    assert jobs.outcomes == [("a", 7), ("b", refusal), ("c", 7)]


@pytest.mark.slow
def test_a_process_that_died_is_given_a_second_chance(jobs: Jobs) -> None:
    jobs.add("a", die_once)
    jobs.wait(1)
    assert jobs.outcomes == [("a", 7)]


@pytest.mark.slow
def test_a_job_shows_its_progress_and_is_not_taken_twice(jobs: Jobs) -> None:
    jobs.add("a", wait_for_release)
    wait_until_running(jobs, "a", 0.25)
    jobs.add("a", refuse)
    assert jobs.queue.is_known("a")
    (jobs.path.parent / "release").touch()
    jobs.wait(1)
    assert (jobs.outcomes, jobs.queue.find_progress("a")) == ([("a", 1)], None)


@pytest.mark.slow
def test_a_cancelled_job_has_no_outcome_and_its_name_is_free(jobs: Jobs) -> None:
    jobs.add("a", wait_for_release)
    wait_until_running(jobs, "a", 0.25)
    jobs.add("b", give_size)
    jobs.queue.cancel("a")
    jobs.queue.cancel("b")
    jobs.add("a", give_size)
    (jobs.path.parent / "release").touch()
    jobs.wait(1)
    assert jobs.outcomes == [("a", 7)]


def start_endless(jobs: Jobs) -> int:
    """Run a job that never ends by itself and never reports; return its process."""
    pid = jobs.path.parent / "pid"
    jobs.add("endless", work_for_ever)
    wait_until(lambda: pid.is_file() and pid.read_text() != "", 30)
    return int(pid.read_text())


@pytest.mark.slow
def test_the_process_of_a_cancelled_job_is_ended_at_once_and_the_next_job_runs(jobs: Jobs) -> None:
    process = start_endless(jobs)
    jobs.add("waiting", give_size)
    jobs.add("next", give_size)
    assert not jobs.queue.cancel("waiting")
    assert jobs.queue.cancel("endless")
    assert not is_running(process)
    jobs.wait(1)
    assert jobs.outcomes == [("next", 7)]
    assert not jobs.queue.cancel("next")


@pytest.mark.slow
def test_a_stopped_queue_ends_the_process_of_its_job(jobs: Jobs) -> None:
    process = start_endless(jobs)
    jobs.queue.stop()
    wait_until(lambda: not is_running(process), 30)
    assert jobs.outcomes == []


@pytest.mark.slow
def test_a_job_may_cancel_others_while_it_finishes(jobs: Jobs) -> None:
    def finish(outcome: Any) -> None:
        assert [jobs.queue.cancel(name) for name in ("a", "b")] == [True, False]
        jobs.outcomes.append(("a", outcome.value))
        jobs.done.release()

    jobs.queue.add(Job("a", jobs.path, give_size, finish))
    jobs.add("b", give_size)
    jobs.add("c", give_size)
    jobs.wait(2)
    assert jobs.outcomes == [("a", 7), ("c", 7)]


def test_a_stopped_queue_starts_no_job(tmp_path: Path) -> None:
    jobs = Jobs(tmp_path)
    jobs.queue.stop()
    jobs.add("a", give_size)
    assert not jobs.done.acquire(timeout=0.3)
