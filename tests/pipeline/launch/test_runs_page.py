"""Start of MLflow's page with the runs of this checkout, and the printed address when it is ready."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from loopback import find_free_port, wait_until
from pipeline.dvc.process import build_environment
from pipeline.launch import runs_page

LIMIT_S = 180


def test_runs_of_a_server_are_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://runs.example:5000")
    runs_page.show_runs(5000)
    assert capsys.readouterr().out == "the runs are at http://runs.example:5000\n"


@pytest.mark.slow
def test_the_start_and_the_readiness_of_the_page_are_printed(tmp_path: Path) -> None:
    port = find_free_port()
    command = [sys.executable, "-m", "cuepoint", "ui", "--port", str(port)]
    environment = build_environment() | {"MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path}/mlflow.db"}
    with (tmp_path / "log").open("wb") as log:
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
    try:
        wait_until(lambda: f"ready: the runs are at http://127.0.0.1:{port}/#/" in read(tmp_path), LIMIT_S)
        assert read(tmp_path).startswith(f"starting MLflow with sqlite:///{tmp_path}/mlflow.db; ")
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(60)


def read(folder: Path) -> str:
    return (folder / "log").read_text(errors="replace")
