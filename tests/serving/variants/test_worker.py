"""The threads of a challenger: bounded, with their own priority, and never waited for."""

import os
import threading
from collections.abc import Iterator

import pytest

from serving.variants.worker import StoppedError, Worker, read_queue_wait_s

LIMIT_S = 60.0  # never reached unless something hangs


@pytest.fixture
def worker() -> Iterator[Worker]:
    worker = Worker(num_threads=1, max_waiting=2)
    yield worker
    worker.stop()


def occupy(worker: Worker) -> threading.Event:
    """Make the only thread wait for the returned event."""
    gate, begun = threading.Event(), threading.Event()
    worker.submit(lambda: (begun.set(), gate.wait(LIMIT_S)))
    assert begun.wait(LIMIT_S)
    return gate


def test_work_is_carried_out_and_its_failure_reaches_the_caller(worker: Worker) -> None:
    done, failed = worker.submit(lambda: 7), worker.submit(lambda: 1 // 0)
    assert done is not None
    assert done.result(LIMIT_S) == 7
    assert failed is not None
    with pytest.raises(ZeroDivisionError):
        failed.result(LIMIT_S)


def test_a_full_queue_refuses_work_without_waiting(worker: Worker) -> None:
    gate = occupy(worker)
    waiting = [worker.submit(lambda: None) for _ in range(3)]
    assert [one is None for one in waiting] == [False, False, True]
    gate.set()


def test_waiting_work_fails_when_the_worker_stops(worker: Worker) -> None:
    gate = occupy(worker)
    waiting = worker.submit(lambda: None)
    worker.stop()
    assert waiting is not None
    with pytest.raises(StoppedError):
        waiting.result(LIMIT_S)
    assert worker.submit(lambda: None) is None
    gate.set()


def test_abandoned_work_is_skipped(worker: Worker) -> None:
    gate, done = occupy(worker), threading.Event()
    given_up, last = worker.submit(done.set), worker.submit(lambda: None)
    assert given_up is not None
    assert given_up.cancel()
    gate.set()
    assert last is not None
    last.result(LIMIT_S)
    assert not done.is_set()


def test_a_lower_priority_applies_only_to_its_threads() -> None:
    own = os.getpriority(os.PRIO_PROCESS, 0)
    worker = Worker(num_threads=1, max_waiting=1, niceness=19)
    future = worker.submit(lambda: os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
    assert future is not None
    assert future.result(LIMIT_S) == 19
    assert os.getpriority(os.PRIO_PROCESS, 0) == own
    worker.stop()


def test_the_time_spent_waiting_for_a_processor_only_grows() -> None:
    before = read_queue_wait_s()
    sum(range(10**6))
    assert 0 <= before <= read_queue_wait_s()
