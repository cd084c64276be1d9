"""A Prefect server with its worker, and the quick project for flows."""

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from loopback import find_free_port, wait_until
from pipeline.dvc.process import build_environment
from quick_project import finish, finished_pipeline, project, run, write_params

ROOT = Path(__file__).resolve().parents[2]
__all__ = ["finish", "finished_pipeline", "project", "run", "write_params"]

BUSY_PAUSES_S = (1.0, 2.0, 4.0, 8.0)  # the server answers 503 while its SQLite file is locked


class PrefectService:
    """A server and a worker on loopback with their own home."""

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
        self.home, self._port = home, port
        self._started: list[subprocess.Popen[bytes]] = []
        try:
            self.server = self.start_server()
            self.run(ROOT, sys.executable, "-c", "from flows.deploy import ensure_work_pool; ensure_work_pool()")
            self.worker = self.start_worker()
            wait_until(lambda: bool(self.ask("work_pools/cuepoint/workers/filter", {})))
        except BaseException:
            self.stop()
            raise

    def start_server(self) -> subprocess.Popen[bytes]:
        """Start the server and wait until it answers."""
        server = self._start("server", "prefect", "--port", str(self._port))
        wait_until(self._is_healthy)
        return server

    def start_worker(self) -> subprocess.Popen[bytes]:
        """Start a worker."""
        return self._start("worker", "--server-port", str(self._port))

    def run(self, folder: Path, *command: str) -> str:
        """Run a client command in a folder and return its output."""
        return subprocess.run(command, cwd=folder, env=self.env, check=True, capture_output=True, text=True).stdout

    def ask(self, path: str, body: object = None) -> Any:
        """Send a request to the server: GET without a body, POST with a body; retry a busy database, as clients do."""
        method = "GET" if body is None else "POST"
        for pause_s in BUSY_PAUSES_S:
            response = httpx.request(method, f"{self.url}/{path}", json=body, timeout=90)
            if response.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                break
            time.sleep(pause_s)
        response.raise_for_status()
        return response.json() if response.content else None

    def deploy(self, project: Path) -> str:
        """Deploy the flow of a project with the user's command, and return the deployment's id."""
        self.run(project, sys.executable, "-m", "cuepoint", "deploy", "--cron", "0 3 * * *", "--timezone", "Europe/Berlin")
        return str(self.ask("deployments/name/reproduce/cuepoint")["id"])

    def schedule(self, deployment_id: str, *, seconds_ahead: float = 2.0) -> str:
        """Schedule one run and return its id."""
        due = datetime.now(UTC) + timedelta(seconds=seconds_ahead)
        state = {"type": "SCHEDULED", "state_details": {"scheduled_time": due.isoformat()}}
        return str(self.ask(f"deployments/{deployment_id}/create_flow_run", {"state": state})["id"])

    def wait_for(self, run_id: str, *states: str, limit_s: float = 240.0) -> str:
        """Wait until a run has one of the states, and return its state."""
        wait_until(
            lambda: self.ask(f"flow_runs/{run_id}")["state"]["type"] in states, limit_s, what=lambda: self.read_logs(run_id)
        )
        return str(self.ask(f"flow_runs/{run_id}")["state"]["name"])

    def read_logs(self, run_id: str) -> str:
        """Return the log of a run."""
        logs = self.ask("logs/filter", {"logs": {"flow_run_id": {"any_": [run_id]}}, "sort": "TIMESTAMP_ASC"})
        return "\n".join(log["message"] for log in logs)

    def count_gpu_slots(self) -> int:
        """Return the number of held slots of the GPU limit."""
        return int(self.ask("v2/concurrency_limits/gpu")["active_slots"])

    def stop(self) -> None:
        """End all started processes with their children; kill a process that still waits for its runs."""
        for process in reversed(self._started):
            if process.poll() is not None:
                continue
            family = psutil.Process(process.pid).children(recursive=True)
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(15)
            for member in psutil.wait_procs(family, timeout=5)[1]:
                member.kill()
            process.kill()  # no effect if it has ended
            process.wait()

    def _start(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start a command of `cuepoint` as a user does."""
        command = [sys.executable, "-m", "cuepoint", *arguments]
        without = ("PREFECT_API_URL",) if arguments[0] == "server" else ()  # a server is started before it has an address
        env = {name: value for name, value in self.env.items() if name not in without}
        with (self.home / f"{arguments[0]}.log").open("ab") as output:
            process = subprocess.Popen(command, cwd=ROOT, env=env, stdout=output, stderr=subprocess.STDOUT)
        self._started.append(process)
        return process

    def _is_healthy(self) -> bool:
        try:
            return bool(self.ask("health"))
        except httpx.HTTPError:
            return False


@pytest.fixture(scope="session")
def prefect_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrefectService]:
    """Run a server and a worker, shared by the tests of a session."""
    service = PrefectService(tmp_path_factory.mktemp("prefect"))
    yield service
    service.stop()
