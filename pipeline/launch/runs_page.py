"""MLflow's page of the runs: replaces this process with its server, and prints the address when the page is ready."""

import contextlib
import os
import sys
import time
import urllib.request

from pipeline.entry import TELEMETRY_OFF
from pipeline.launch.ports import require_free_port
from pipeline.tracking.run_table import VIEW
from pipeline.tracking.server import find_tracking_uri

_RUNS = f"/#/experiments/1/runs?workflowType=machine_learning&viewStateShareKey={VIEW}"
_PORT = "5000"  # of `cuepoint ui`
_PERIOD_S = 0.3
_WITHOUT_JOBS = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}  # jobs of models that judge texts; more processes


def show_runs(port: int) -> None:
    """Replace this process with MLflow's server on loopback, and print when it is ready; for a remote server, print its address.

    Raises:
        ValueError: when the port is in use.
    """
    uri, address = find_tracking_uri(), f"http://127.0.0.1:{port}"
    if uri.startswith("http"):
        print(f"the runs are at {uri}")
        return
    require_free_port(port, variable="UI_PORT")
    print(f"starting MLflow with {uri}; loading takes a while", flush=True)
    _tell_when_ready(address)
    # one worker is enough for one user; each of MLflow's default of four loads the whole program
    command = ["server", "--backend-store-uri", uri, "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    environment = {**TELEMETRY_OFF, **_WITHOUT_JOBS, **os.environ}
    os.execve(sys.executable, [sys.executable, "-m", "mlflow", *command], environment)


def find_page_address() -> str:
    """Return the address of MLflow's page: the server of `MLFLOW_TRACKING_URI`, or that of `cuepoint ui` at `UI_PORT`."""
    uri = find_tracking_uri()
    return uri.rstrip("/") if uri.startswith("http") else f"http://127.0.0.1:{os.environ.get('UI_PORT') or _PORT}"


def _tell_when_ready(address: str) -> None:
    """Start a detached process that waits until this process answers as a server or ends; nobody has to reap it."""
    server, child = os.getpid(), os.fork()
    if child:
        os.waitpid(child, 0)
        return
    if os.fork() == 0:
        with contextlib.suppress(KeyboardInterrupt, ProcessLookupError):
            while not _answers(address):
                os.kill(server, 0)  # raises when the server has ended
                time.sleep(_PERIOD_S)
            print(f"ready: the runs are at {address}{_RUNS}", flush=True)
    os._exit(0)


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"{address}/health", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
