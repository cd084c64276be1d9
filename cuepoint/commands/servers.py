"""`cuepoint ui`, `server` and `worker`: start MLflow and Prefect on loopback, with the folders of this checkout."""

import argparse
import os
import sys
from typing import TYPE_CHECKING

from cuepoint.parsing import add_command, parse_port
from cuepoint.running import PREFECT_PORT, become, find_prefect_url, require_package

if TYPE_CHECKING:
    from cuepoint.parsing import Commands

_POOL = "cuepoint"
_SERVERS = ("prefect", "mlflow")
_SERVER_DESCRIPTION = """\
Start the servers of Prefect and MLflow on 127.0.0.1; they end together. Each keeps its data in a SQLite file below .cache/.
PREFECT_SERVER_DATABASE_CONNECTION_URL=postgresql+asyncpg://... and MLFLOW_TRACKING_URI=postgresql://... choose PostgreSQL."""


def add(commands: "Commands") -> None:
    """Add the commands."""
    ui = add_command(
        commands,
        "ui",
        run_ui,
        purpose="compare runs of training and evaluation in MLflow on 127.0.0.1",
        examples="cuepoint ui\ncuepoint ui --port 8080\nMLFLOW_TRACKING_URI=http://mlflow:5000 cuepoint ui",
    )
    ui.add_argument("--port", type=parse_port, default=5000, help="(default: 5000)")
    server = add_command(
        commands,
        "server",
        run_server,
        purpose="start the servers of Prefect and MLflow on 127.0.0.1",
        description=_SERVER_DESCRIPTION,
        examples="cuepoint server\ncuepoint server prefect --port 4300",
    )
    server.add_argument("names", nargs="*", metavar="SERVER", help="prefect or mlflow (default: both)")
    server.add_argument("--port", type=parse_port, default=PREFECT_PORT, help=f"port of Prefect (default: {PREFECT_PORT})")
    server.add_argument("--runs-port", type=parse_port, default=5000, help="port of MLflow (default: 5000)")
    worker = add_command(
        commands,
        "worker",
        run_worker,
        purpose="start the worker that runs deployed flows",
        examples="cuepoint worker\nPREFECT_API_URL=http://prefect:4200/api cuepoint worker",
    )
    add_server_port(worker)


def add_server_port(parser: argparse.ArgumentParser) -> None:
    """Add the option for the port of the Prefect server."""
    parser.add_argument(
        "--server-port",
        type=parse_port,
        default=PREFECT_PORT,
        metavar="PORT",
        help=f"port of the Prefect server on this machine if PREFECT_API_URL is not set (default: {PREFECT_PORT})",
    )


def run_ui(options: argparse.Namespace) -> int:
    """Replace this process with the MLflow server, or print the address of the server that has the runs."""
    from pipeline.launch.runs_page import show_runs

    require_package("mlflow")
    show_runs(options.port)
    return 0


def run_server(options: argparse.Namespace) -> int:
    """Run the servers until one ends or this process is told to end.

    Raises:
        ValueError: for an unknown server, or a port that is in use.
    """
    from pipeline.launch.ports import require_free_port
    from pipeline.launch.runs_page import prepare_runs_server
    from pipeline.launch.servers import Program, run_servers

    names, programs = options.names or list(_SERVERS), dict[str, Program]()
    if unknown := [name for name in names if name not in _SERVERS]:
        raise ValueError(f"{unknown[0]!r} is not a server; choose {' or '.join(_SERVERS)}")
    if "prefect" in names:
        require_package("prefect")
        require_free_port(options.port, variable="PREFECT_PORT")
        command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(options.port)]
        page = {"PREFECT_SERVER_UI_API_URL": os.environ.get("PREFECT_SERVER_UI_API_URL", f"http://127.0.0.1:{options.port}/api")}
        programs["prefect"] = Program(command, page)  # by default, its page asks the port 4200, whatever --port says
    if "mlflow" in names:
        require_package("mlflow")
        runs = prepare_runs_server(options.runs_port, option="--runs-port")
        programs |= {"mlflow": runs} if runs else {}
    return run_servers(programs) if programs else 0


def run_worker(options: argparse.Namespace) -> int:
    """Replace this process with a worker of the pool."""
    command = [sys.executable, "-m", "prefect", "worker", "start", "--pool", _POOL, "--type", "process"]
    return become(command, package="prefect", PREFECT_API_URL=find_prefect_url(options.server_port))
