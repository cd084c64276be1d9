"""A DVC project with the stages of the pipeline whose commands take no time: flows are tested apart from what they start."""

import contextlib
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import yaml

from corpus.files import write_bytes, write_json
from flows.dvc_process import build_environment
from flows.reproduce import STAGES
from loopback import find_free_port, wait_until

ROOT = Path(__file__).resolve().parents[2]
BUSY_PAUSES_S = (1.0, 2.0, 4.0, 8.0)  # the server answers 503 while its SQLite file is locked
PROGRAM = """
import os, pathlib, sys, time, yaml
stage = sys.argv[1]
params = yaml.safe_load(open("params.yaml"))
if stage == params["waits_in"]:
    pathlib.Path(".cache/waiting").write_text(str(os.getpid()))
    time.sleep(600)
figures = '{"val": {"localizer": {"R1_iou0.5": %s, "mIoU": 0.4}}}' % params["recall"]
files = {"evaluate": "reports/evaluation/metrics.json", "export": "bundle/manifest.json", "package": "bento/cuepoint.bento"}
path = pathlib.Path("data") / files.get(stage, stage)
path.parent.mkdir(parents=True, exist_ok=True)
path.write_text(figures)
"""
OUTS = {"evaluate": "data/reports/evaluation", "export": "data/bundle", "package": "data/bento"}


def run(folder: Path, *command: str) -> str:
    """Run a command in a folder and return what it printed."""
    return subprocess.run(command, cwd=folder, env=build_environment(), check=True, capture_output=True, text=True).stdout


def write_params(project: Path, *, recall: float = 0.5, waits_in: str = "") -> None:
    """Choose the figure that `evaluate` reports and the stage that never ends."""
    (project / "params.yaml").write_text(yaml.safe_dump({"recall": recall, "waits_in": waits_in}), encoding="utf-8")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A git and DVC checkout with ten quick stages in a row and the flows of this checkout."""
    folder = tmp_path / "project"
    stages, previous = {}, "program.py"
    for stage in STAGES:
        out = OUTS.get(stage, f"data/{stage}")
        stages[stage] = {"cmd": f"python program.py {stage}", "deps": [previous], "params": ["recall", "waits_in"], "outs": [out]}
        previous = out
    (folder / ".cache").mkdir(parents=True)
    (folder / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}), encoding="utf-8")
    (folder / "program.py").write_text(PROGRAM, encoding="utf-8")
    (folder / ".gitignore").write_text(".cache/\n", encoding="utf-8")
    shutil.copy(ROOT / "pyproject.toml", folder)
    shutil.copytree(ROOT / "flows", folder / "flows", ignore=shutil.ignore_patterns("__pycache__"))
    write_params(folder)
    run(folder, "git", "init", "-q")
    run(folder, "dvc", "init", "-q")
    return folder


class PrefectService:
    """A server and a worker on loopback with a home of their own."""

    def __init__(self, home: Path) -> None:
        """Start both and wait until they answer."""
        port = find_free_port()
        self.url = f"http://127.0.0.1:{port}/api"
        self.env = {
            **build_environment(),
            "PREFECT_HOME": str(home),
            "PREFECT_API_URL": self.url,
            "PREFECT_WORKER_QUERY_SECONDS": "1",
        }
        self.home = home
        self._started: list[subprocess.Popen[bytes]] = []
        try:
            self._start("prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port))
            wait_until(self._is_healthy, 120)
            self.run(ROOT, sys.executable, "-c", "from flows.deploy import ensure_work_pool; ensure_work_pool()")
            self._start("prefect", "worker", "start", "--pool", "cuepoint", "--type", "process", "--name", "worker")
            wait_until(lambda: bool(self.ask("work_pools/cuepoint/workers/filter", {})), 120)
        except BaseException:
            self.stop()
            raise

    def run(self, folder: Path, *command: str) -> str:
        """Run a client's command in a folder and return what it printed."""
        return subprocess.run(command, cwd=folder, env=self.env, check=True, capture_output=True, text=True).stdout

    def ask(self, path: str, body: object = None) -> Any:
        """Send a request to the server: GET without a body, POST with one; a busy database is asked again, as clients do."""
        method = "GET" if body is None else "POST"
        for pause_s in BUSY_PAUSES_S:
            response = httpx.request(method, f"{self.url}/{path}", json=body, timeout=90)
            if response.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                break
            time.sleep(pause_s)
        response.raise_for_status()
        return response.json() if response.content else None

    def deploy(self, project: Path) -> str:
        """Deploy the flow of a project as a user does, and return the deployment's id."""
        self.run(project, sys.executable, "-m", "flows.deploy", "--cron", "0 3 * * *", "--timezone", "Europe/Berlin")
        return str(self.ask("deployments/name/reproduce/scheduled")["id"])

    def schedule(self, deployment_id: str, *, seconds_ahead: float = 2.0) -> str:
        """Schedule one run and return its id."""
        due = datetime.now(UTC) + timedelta(seconds=seconds_ahead)
        state = {"type": "SCHEDULED", "state_details": {"scheduled_time": due.isoformat()}}
        return str(self.ask(f"deployments/{deployment_id}/create_flow_run", {"state": state})["id"])

    def wait_for(self, run_id: str, *states: str, limit_s: float = 240.0) -> str:
        """Wait until a run has one of the states, and return the name of its state."""
        wait_until(
            lambda: self.ask(f"flow_runs/{run_id}")["state"]["type"] in states, limit_s, what=lambda: self.read_logs(run_id)
        )
        return str(self.ask(f"flow_runs/{run_id}")["state"]["name"])

    def read_logs(self, run_id: str) -> str:
        """Return what a run logged."""
        logs = self.ask("logs/filter", {"logs": {"flow_run_id": {"any_": [run_id]}}, "sort": "TIMESTAMP_ASC"})
        return "\n".join(log["message"] for log in logs)

    def count_gpu_slots(self) -> int:
        """Return how many slots of the GPU limit are held."""
        return int(self.ask("v2/concurrency_limits/gpu")["active_slots"])

    def stop(self) -> None:
        """End every process that was started, with its children; one that still waits for its runs is killed."""
        for process in reversed(self._started):
            family = psutil.Process(process.pid).children(recursive=True)
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(15)
            for member in psutil.wait_procs(family, timeout=5)[1]:
                member.kill()
            process.kill()  # nothing, where it has ended
            process.wait()

    def _start(self, *command: str) -> None:
        with (self.home / f"{command[1]}.log").open("wb") as output:
            process = subprocess.Popen(command, cwd=ROOT, env=self.env, stdout=output, stderr=subprocess.STDOUT)
        self._started.append(process)

    def _is_healthy(self) -> bool:
        try:
            return bool(self.ask("health"))
        except httpx.HTTPError:
            return False


@pytest.fixture(scope="session")
def prefect_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrefectService]:
    """A running server and worker, shared by the tests of a session."""
    service = PrefectService(tmp_path_factory.mktemp("prefect"))
    yield service
    service.stop()


@pytest.fixture
def finished_pipeline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a finished pipeline, with a tracking store of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    write_json(Path("data/bundle/manifest.json"), {"files": {}})
    write_bytes(Path("dvc.lock"), b"schema: '2.0'\nstages: {}\n")
    return tmp_path


@pytest.fixture
def finish(finished_pipeline: Path) -> Callable[..., None]:
    """What gives the pipeline a bento and the recall it has on validation: finish(bento, recall=...)."""

    def write(bento: bytes, *, recall: float) -> None:
        figures = {"val": {"localizer": {"R1_iou0.5": recall, "mIoU": 0.4}}}
        write_json(finished_pipeline / "data/reports/evaluation/metrics.json", figures)
        write_bytes(finished_pipeline / "data/bento/cuepoint.bento", bento)

    return write
