"""DVC under a flow: errors are reported, locks are waited for, and no process survives the flow."""

import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from loopback import is_running, wait_until
from pipeline.dvc import process as dvc_process
from pipeline.dvc.process import DvcError, Outcome, build_environment, run_dvc, run_in_own_process_group

TREE = """
import subprocess, sys, time
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
print("up", flush=True)
time.sleep(60)
"""


def ignore(_: str) -> None:
    """Drop a line of output."""


def test_lines_are_logged_as_they_come_and_a_progress_bar_by_its_last_state() -> None:
    lines: list[str] = []
    program = r"print('one'); print('\r 1%\r 50%\r100%'); print(); import sys; sys.exit(3)"
    outcome = run_in_own_process_group([sys.executable, "-c", program], log=lines.append)
    assert lines == ["one", "100%"]
    assert outcome == Outcome(3, "one\n100%")


@pytest.mark.slow
@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_an_interruption_ends_the_command_and_its_children(error: type[BaseException]) -> None:
    family: list[psutil.Process] = []
    before = set(psutil.Process().children(recursive=True))

    def interrupt(_: str) -> None:
        family.extend(set(psutil.Process().children(recursive=True)) - before)
        raise error

    with pytest.raises(error):
        run_in_own_process_group([sys.executable, "-c", TREE], log=interrupt)
    assert len(family) == 2
    assert not any(is_running(process.pid) for process in family)


@pytest.mark.slow
def test_a_command_that_ignores_sigterm_is_killed_after_its_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dvc_process, "_TERM_GRACE_S", 1.0)
    program = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(3600)"
    family: list[psutil.Process] = []
    before = set(psutil.Process().children())

    def interrupt(_: str) -> None:
        family.extend(set(psutil.Process().children()) - before)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_in_own_process_group([sys.executable, "-c", program], log=interrupt)
    assert family
    assert not any(is_running(process.pid) for process in family)


def answer_with(monkeypatch: pytest.MonkeyPatch, outcomes: list[Outcome]) -> list[list[str]]:
    commands: list[list[str]] = []

    def answer(command: list[str], *, log: object) -> Outcome:
        commands.append(command)
        return outcomes[len(commands) - 1]

    monkeypatch.setattr(dvc_process, "run_in_own_process_group", answer)
    return commands


@pytest.mark.parametrize(
    "message", ["ERROR: Unable to acquire lock. Most likely another DVC process", "'data/x' is busy, it is being blocked by:"]
)
def test_a_lock_that_another_dvc_holds_is_waited_for(monkeypatch: pytest.MonkeyPatch, message: str) -> None:
    commands = answer_with(monkeypatch, [Outcome(255, message), Outcome(255, message), Outcome(0, "done")])
    assert run_dvc(["repro"], log=ignore, wait_s=0) == "done"
    assert [command[-1] for command in commands] == ["repro"] * 3


def test_a_lock_that_stays_taken_is_an_error_after_the_last_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    commands = answer_with(monkeypatch, [Outcome(255, "Unable to acquire lock")] * 3)
    with pytest.raises(DvcError, match=r"^`dvc repro` failed with exit code 255:\nUnable to acquire lock$"):
        run_dvc(["repro"], log=ignore, attempts=3, wait_s=0)
    assert len(commands) == 3


def test_a_failing_stage_is_not_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    commands = answer_with(monkeypatch, [Outcome(1, "extract: error: v1 is missing")])
    with pytest.raises(DvcError, match="extract: error: v1 is missing"):
        run_dvc(["repro", "extract"], log=ignore, wait_s=0)
    assert len(commands) == 1


@pytest.mark.slow
def test_dvc_and_its_stage_end_when_the_flow_is_killed(project: Path) -> None:
    (project / "params.yaml").write_text("recall: 0.5\nwaits_in: identity\n", encoding="utf-8")
    program = "from pipeline.dvc.process import run_dvc; run_dvc(['repro', '--single-item', 'identity'], log=print)"
    flow = subprocess.Popen([sys.executable, "-c", program], cwd=project, env=build_environment(), stdout=subprocess.DEVNULL)
    waiting = project / ".cache" / "waiting"
    wait_until(waiting.exists, 60)
    family = psutil.Process(flow.pid).children(recursive=True)
    flow.kill()
    flow.wait()
    try:
        assert wait_until(lambda: not psutil.pid_exists(family[0].pid), 60)
    finally:
        for process in family:
            if process.is_running():
                process.kill()
