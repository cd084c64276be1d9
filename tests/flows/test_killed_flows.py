"""Kills of flow, server and worker, and simultaneous runs: no process stays, one run trains, and the next run goes on."""

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from flows.limits import LEASE_S
from flows.reproduce import STAGES
from loopback import is_running, wait_until
from pipeline.dvc.process import build_environment
from pipeline.executors.process import find_holder
from quick_project import write_params

if TYPE_CHECKING:
    from conftest import PrefectService

pytestmark = [pytest.mark.fault, pytest.mark.slow]
LIMIT_S = 240.0


class WaitingRun:
    """A scheduled run whose stage `pretrain` waits and holds the slot."""

    def __init__(self, project: Path, service: "PrefectService") -> None:
        """Deploy, schedule, and wait for the stage."""
        write_params(project, waits_in="pretrain")
        self.project, self.service = project, service
        self.deployment = service.deploy(project)
        self.id = service.schedule(self.deployment)
        waiting = project / ".cache" / "waiting"
        wait_until(lambda: waiting.exists() and bool(waiting.read_text()), LIMIT_S, what=lambda: service.read_logs(self.id))
        self.stage = psutil.Process(int(waiting.read_text()))
        self.family = [self.stage, *self.stage.parents()]
        self.family = self.family[: next(n for n, one in enumerate(self.family) if one.pid == service.worker.pid)]

    @property
    def slot(self) -> Path:
        """The lock of the device."""
        return self.project / ".cache" / "locks" / "slot-cpu.lock"

    def go_on(self) -> None:
        """Let the stage finish."""
        (self.project / ".cache" / "go_on").touch()

    def wait_until_gone(self) -> None:
        """Wait until no process of the run is left and the slot is free."""
        wait_until(lambda: not any(is_running(one.pid) for one in self.family), 30)
        assert find_holder(self.slot) is None

    def read_done(self) -> list[str]:
        """Return the stages that ran to their end, in order."""
        return (self.project / ".cache" / "done.log").read_text().split()


@pytest.fixture
def waiting_run(project: Path, prefect_service: "PrefectService") -> WaitingRun:
    """Start a run that holds the slot."""
    return WaitingRun(project, prefect_service)


def test_of_two_runs_and_a_person_one_trains_and_the_others_say_why_not(waiting_run: WaitingRun) -> None:
    service, project = waiting_run.service, waiting_run.project
    second = service.schedule(waiting_run.deployment)
    assert service.wait_for(second, "CANCELLED", "COMPLETED", "RUNNING") == "Cancelled"
    command = [sys.executable, "-m", "pipeline.dvc.process", "repro", "--single-item", "pretrain"]
    person = subprocess.run(command, cwd=project, env=build_environment(), capture_output=True, text=True, check=False)
    assert person.returncode != 0
    assert "is busy, it is being blocked by" in person.stderr
    assert "(PID " in person.stderr
    command = [sys.executable, "program.py", "train"]
    other = subprocess.Popen(command, cwd=project, env=build_environment(), stderr=subprocess.PIPE, text=True)
    assert other.stderr is not None
    assert (
        f"waiting for the slot of device cpu, held by process {waiting_run.stage.pid} (stage pretrain" in other.stderr.readline()
    )
    waiting_run.go_on()
    assert other.wait(60) == 0
    other.communicate()
    assert service.wait_for(waiting_run.id, "COMPLETED", "FAILED", "CRASHED") == "Completed", service.read_logs(waiting_run.id)
    assert waiting_run.read_done().count("pretrain") == 1


def test_five_missed_runs_train_once_and_a_repeated_run_registers_nothing(
    project: Path, prefect_service: "PrefectService"
) -> None:
    deployment = prefect_service.deploy(project)
    prefect_service.worker.terminate()
    prefect_service.worker.wait(60)
    missed = [prefect_service.schedule(deployment, seconds_ahead=-60.0 * number) for number in range(1, 6)]
    prefect_service.worker = prefect_service.start_worker()
    states = [prefect_service.wait_for(run, "COMPLETED", "CANCELLED", "FAILED", "CRASHED") for run in missed]
    assert "Completed" in states
    assert set(states) <= {"Completed", "Cancelled"}
    done = project / ".cache" / "done.log"
    assert done.read_text().split() == list(STAGES)
    again = prefect_service.schedule(deployment)  # as after a lost reply
    assert prefect_service.wait_for(again, "COMPLETED", "FAILED", "CRASHED") == "Completed", prefect_service.read_logs(again)
    assert done.read_text().split() == list(STAGES)
    said = "this bundle is already the champion (version 1)"
    wait_until(lambda: said in prefect_service.read_logs(again))  # logs may come late


def test_a_killed_flow_leaves_nothing_and_the_next_run_continues(waiting_run: WaitingRun) -> None:
    service = waiting_run.service
    waiting_run.family[-1].kill()
    waiting_run.wait_until_gone()
    assert service.wait_for(waiting_run.id, "CRASHED") == "Crashed"
    assert not (waiting_run.project / "data" / "pretrain").exists()
    wait_until(lambda: service.count_gpu_slots() == 0, LEASE_S + 60)
    waiting_run.go_on()
    again = service.schedule(waiting_run.deployment)
    assert service.wait_for(again, "COMPLETED", "FAILED", "CRASHED") == "Completed", service.read_logs(again)
    assert waiting_run.read_done() == list(STAGES)


def test_a_killed_server_stops_no_training_and_a_killed_worker_ends_its_run(waiting_run: WaitingRun) -> None:
    service = waiting_run.service
    servers = psutil.Process(service.server.pid).children(recursive=True)
    service.server.kill()
    service.server.wait()
    wait_until(lambda: not any(is_running(one.pid) for one in servers), 60)
    service.server = service.start_server()
    assert is_running(waiting_run.stage.pid)
    holder = find_holder(waiting_run.slot)
    assert holder is not None
    assert holder.process == waiting_run.stage.pid
    assert service.count_gpu_slots() == 1
    service.worker.kill()
    service.worker.wait()
    waiting_run.wait_until_gone()
    service.worker = service.start_worker()
    wait_until(lambda: service.count_gpu_slots() == 0, LEASE_S + 60)
    assert waiting_run.read_done() == list(STAGES[: STAGES.index("pretrain")])
