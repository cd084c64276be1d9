"""Worker processes and devices, set by the environment."""

import os
import signal

import pytest

from pipeline.executors.machine import choose_device, count_workers, map_in_processes


def double(number: int) -> int:
    return 2 * number


def refuse(number: int) -> int:
    raise ValueError(f"no {number}")


def die(number: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return number


def test_the_environment_sets_the_number_of_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUEPOINT_WORKERS", "3")
    assert count_workers() == 3
    monkeypatch.delenv("CUEPOINT_WORKERS")
    assert count_workers() >= 1


@pytest.mark.parametrize("text", ["0", "-1", "two", "1.5"])
def test_a_wrong_number_of_workers_is_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUEPOINT_WORKERS", text)
    with pytest.raises(ValueError, match=f"CUEPOINT_WORKERS = '{text}' is not a number of processes"):
        count_workers()


def test_the_environment_chooses_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUEPOINT_DEVICE", "cpu")
    assert choose_device().type == "cpu"


def test_nothing_to_do_starts_no_worker() -> None:
    assert list(map_in_processes(double, [], what="double")) == []


@pytest.mark.slow
def test_workers_return_every_result() -> None:
    assert sorted(map_in_processes(double, range(5), what="double")) == [0, 2, 4, 6, 8]


@pytest.mark.slow
def test_the_error_of_a_worker_is_raised_unchanged() -> None:
    with pytest.raises(ValueError, match="no 1"):
        list(map_in_processes(refuse, [1], what="refuse"))


@pytest.mark.slow
def test_a_worker_that_dies_is_reported_with_its_task() -> None:
    with pytest.raises(OSError, match="died during the task 'die', perhaps for lack of memory"):
        list(map_in_processes(die, [1], what="die"))
