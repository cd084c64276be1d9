"""A real MLflow server is killed and started again while a run reports to it."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from loopback import START_LIMIT_S, find_free_port, wait_until
from pipeline.dvc.process import end_group
from pipeline.launch.runs_page import prepare_runs_server
from pipeline.tracking import server as tracking
from pipeline.tracking.tracked_run import TrackedRun

pytestmark = pytest.mark.fault
FIGURE = "val/R1_iou0.5"


def start_mlflow(port: int, log: Path) -> "subprocess.Popen[bytes]":
    """Start MLflow's server over the store of this process, and wait until it answers."""
    program = prepare_runs_server(port)
    assert program is not None, "the store is a file"
    with log.open("ab") as output:
        variables = {**os.environ, **program.variables}
        process = subprocess.Popen(program.command, env=variables, stdout=output, stderr=output, start_new_session=True)
    wait_until(lambda: is_healthy(port), START_LIMIT_S, what=lambda: log.read_text(errors="replace"))
    return process


def is_healthy(port: int) -> bool:
    with contextlib.suppress(httpx.HTTPError):
        return httpx.get(f"http://127.0.0.1:{port}/health", timeout=5).status_code == 200
    return False


def read_steps(spool_name: str) -> list[int]:
    found = tracking.find_run(spool_name)
    if found is None:
        return []
    with tracking.open_client() as client:
        return [metric.step for metric in client.get_metric_history(found.run_id, FIGURE)]


@pytest.fixture
def servers() -> Iterator[list["subprocess.Popen[bytes]"]]:
    started: list[subprocess.Popen[bytes]] = []
    yield started
    for process in started:
        end_group(process)


@pytest.mark.filterwarnings("error::UserWarning")
def test_a_server_that_is_away_for_a_while_gets_every_step_once_and_in_order(
    store: str, servers: list["subprocess.Popen[bytes]"], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.tracking.tracked_run._PAUSE_S", 0.5)
    port, log = find_free_port(), tmp_path / "mlflow.log"
    servers.append(start_mlflow(port, log))
    with monkeypatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{port}")
        run = TrackedRun(tmp_path / "spool", tmp_path / "state", name="localizer", params={}, tags={"role": "localizer"})
        for step in range(5):
            run.log(step, {FIGURE: step / 10})
        wait_until(lambda: read_steps(run.spool.name) == [0, 1, 2, 3, 4])
        os.killpg(servers[0].pid, signal.SIGKILL)
        servers[0].wait()
        for step in range(5, 10):
            run.log(step, {FIGURE: step / 10})
        wait_until(lambda: run._problem is not None)
    servers.append(start_mlflow(port, log))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{port}")
    for step in range(10, 15):
        run.log(step, {FIGURE: step / 10})
    run_id = run.end("FINISHED", metrics={"best/val/mIoU": 0.5})
    assert run_id is not None
    assert read_steps(run.spool.name) == list(range(15))
    with tracking.open_client() as client:
        assert client.get_run(run_id).info.status == "FINISHED"
    assert list((tmp_path / "spool").iterdir()) == []
