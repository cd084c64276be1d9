"""Isolation: a file that fails, crashes or hangs costs only itself, and workers do not outlive their parent."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from corpus.isolation import Budget, Failure, Progress, Report, Success, run_isolated
from loopback import wait_until

BUDGET = Budget(silence_s=8.0, silence_s_per_mebibyte=0.0)
WATCHED = """
import sys, time
from pathlib import Path
from corpus.isolation import Budget, run_isolated

def work(path, report):
    path.write_text(str(__import__("os").getpid()))
    time.sleep(600)

if __name__ == "__main__":
    list(run_isolated(work, [Path(sys.argv[1])], num_workers=1, budget=Budget()))
"""


def work(path: Path, report: Report) -> str:
    if path.name == "refused":
        raise ValueError("no such video")
    if path.name == "unreadable":
        path.read_bytes()
    if path.name == "greedy":
        bytearray(64 << 30)
    if path.name == "deadly":
        os.kill(os.getpid(), signal.SIGSEGV)
    if path.name == "hanging":
        time.sleep(600)
    if path.name == "slow":
        for step in range(8):
            time.sleep(1.2)
            report(step / 8)
    return path.name.upper()


def run(*names: str, num_workers: int = 1, budget: Budget = BUDGET) -> dict[str, object]:
    events = run_isolated(work, [Path(name) for name in names], num_workers=num_workers, budget=budget)
    last = [event for event in events if not isinstance(event, Progress)]
    assert sorted(event.path.name for event in last) == sorted(names)
    return {event.path.name: event for event in last}


@pytest.mark.slow
def test_each_fault_costs_its_own_file_and_is_named() -> None:
    names = ("refused", "unreadable", "greedy", "deadly", "hanging", "good")
    found = run(*names)
    reasons = {event.path.name: (event.reason, event.is_final) for event in found.values() if isinstance(event, Failure)}
    assert reasons == {
        "refused": ("no such video", True),
        "unreadable": ("it cannot be read: No such file or directory", False),
        "greedy": ("it needs more than 4096 MiB of memory", False),
        "deadly": (f"the process that read it ended with code -{signal.SIGSEGV.value}", False),
        "hanging": ("the process that read it made no progress for 8 s", False),
    }
    assert found["good"] == Success(Path("good"), "GOOD")


@pytest.mark.slow
def test_work_that_reports_may_take_longer_than_the_silence() -> None:
    assert run("slow") == {"slow": Success(Path("slow"), "SLOW")}


@pytest.mark.slow
def test_files_given_in_advance_survive_the_death_of_their_process() -> None:
    names = ("deadly", *(f"good{number}" for number in range(8)))
    found = run(*names, num_workers=2)
    assert isinstance(found["deadly"], Failure)
    assert [found[name] for name in names[1:]] == [Success(Path(name), name.upper()) for name in names[1:]]


def test_without_files_no_process_is_started() -> None:
    assert list(run_isolated(work, [], num_workers=4, budget=BUDGET)) == []


def test_a_larger_file_may_be_silent_for_longer(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(3 << 20))
    assert Budget(10.0, 2.0).compute_silence_s(path) == 16.0
    assert Budget(10.0, 2.0).compute_silence_s(tmp_path / "gone") == 10.0


@pytest.mark.slow
def test_a_worker_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    (tmp_path / "watched.py").write_text(WATCHED)
    target = tmp_path / "pid"
    root = Path(__file__).resolve().parents[2]
    environment = os.environ | {"PYTHONPATH": str(root)}
    parent = subprocess.Popen([sys.executable, str(tmp_path / "watched.py"), str(target)], env=environment)
    try:
        wait_until(lambda: target.is_file() and bool(target.read_text()))
    finally:
        parent.kill()
        parent.wait()
    state = Path(f"/proc/{target.read_text()}/stat")
    wait_until(lambda: not state.exists() or state.read_text().rpartition(")")[2].split()[0] == "Z")
