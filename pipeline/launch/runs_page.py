"""MLflow's page of the runs: replaces this process with its server, and prints the address when the page is ready."""

import contextlib
import os
import sys
import time
import urllib.request

from pipeline.launch.ports import require_free_port
from pipeline.launch.servers import Program
from pipeline.tracking.address import hide_password
from pipeline.tracking.run_table import VIEW
from pipeline.tracking.server import find_artifacts_folder, find_tracking_uri

_RUNS = f"/#/experiments/1/runs?workflowType=machine_learning&viewStateShareKey={VIEW}"
_PORT = "5000"  # of `cuepoint ui`
_PERIOD_S = 0.3


def show_runs(port: int) -> None:
    """Replace this process with MLflow's server on loopback, and print when it is ready; for a remote server, print its address.

    Raises:
        ValueError: when the port is in use.
    """
    program = prepare_runs_server(port)
    if program is None:
        return
    _tell_when_ready(f"http://127.0.0.1:{port}")
    os.execve(program.command[0], program.command, {**os.environ, **program.variables})


def prepare_runs_server(port: int, *, option: str = "--port") -> Program | None:
    """Say what is started and return MLflow's server on loopback; for a remote server, print its address and return None.

    The database is named in the environment, because its address may hold a password.

    Raises:
        ValueError: when the port is in use.
    """
    uri = find_tracking_uri()
    if uri.startswith("http"):
        print(f"the runs are at {uri}")
        return None
    require_free_port(port, variable="UI_PORT", option=option)
    print(f"starting MLflow with {hide_password(uri)}; loading takes a while", flush=True)
    # one worker is enough for one user; each of MLflow's default of four loads the whole program
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    store = {"MLFLOW_BACKEND_STORE_URI": uri, "MLFLOW_ARTIFACTS_DESTINATION": find_artifacts_folder(uri).as_uri()}
    return Program(command, store)


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
