"""Tools for tests of real processes: free loopback ports, waiting for a condition, and services on loopback."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

WAIT_LIMIT_S, START_LIMIT_S, STOP_LIMIT_S = 120, 180, 60  # generous: the machine may have other work
SERVICE = ("serving.service:CuepointService", "--working-dir", str(Path(__file__).resolve().parents[1]))


def find_free_port() -> int:
    """Return a free port of loopback that no other test worker can return."""
    worker, workers = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]), int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    while True:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = int(free.getsockname()[1])
        if port // 2 % workers == worker % workers:  # the kernel gives odd ports only
            return port


def wait_until(condition: Callable[[], bool], limit_s: float = WAIT_LIMIT_S, *, what: Callable[[], str] = lambda: "") -> bool:
    """Wait for a condition and return True; fail the test with `what` if the condition does not become true in time."""
    deadline_s = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > deadline_s:
            pytest.fail(f"waited {limit_s} s in vain; {what()}")
        time.sleep(0.1)
    return True


def is_ready(url: str) -> bool:
    """Tell whether the service at `url` reports that it is ready."""
    try:
        return httpx.get(f"{url}/readyz", timeout=5).status_code == 200
    except httpx.HTTPError:
        return False


@dataclass(frozen=True)
class Server:
    """A service of BentoML; its log is `serve.log` in its home."""

    process: subprocess.Popen[bytes]
    url: str
    home: Path

    def find_children(self) -> list[int]:
        """Return its worker processes."""
        text = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(number) for number in text.split()]

    def read_log(self) -> str:
        """Return the log of the service."""
        return (self.home / "serve.log").read_text(errors="replace")

    def wait_until_ready(self) -> None:
        """Wait until the service answers."""
        wait_until(lambda: is_ready(self.url), START_LIMIT_S, what=self.read_log)


def start_server(arguments: Sequence[str], home: Path, **variables: str) -> Server:
    """Start `bentoml serve` on loopback, with its state in its home and, by default, without a rate limit."""
    port = find_free_port()
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("CUEPOINT_", "PYTHONPATH"))}
    own = {"BENTOML_HOME": str(home), "CUEPOINT_STATE": str(home / "state"), "CUEPOINT_RATE_PER_MINUTE": "0"}
    environment |= {"BENTOML_DO_NOT_TRACK": "True", **own, **variables}
    command = [sys.executable, "-m", "bentoml", "serve", *arguments, "--host", "127.0.0.1", "--port", str(port)]
    with (home / "serve.log").open("ab") as log:
        process = subprocess.Popen(command, env=environment, cwd=home, stdout=log, stderr=log, start_new_session=True)
    return Server(process, f"http://127.0.0.1:{port}", home)


def is_running(number: int) -> bool:
    """Tell whether a process exists and has not ended."""
    try:
        state = Path(f"/proc/{number}/stat").read_text(encoding="utf-8")
    except (FileNotFoundError, ProcessLookupError):  # the process has ended, perhaps during this check
        return False
    return state.rpartition(")")[2].split()[0] != "Z"


def stop_server(server: Server) -> None:
    """End a service and its workers."""
    workers = server.find_children() if server.process.poll() is None else []
    server.process.terminate()
    try:
        server.process.wait(timeout=STOP_LIMIT_S)
    finally:
        for number in (*workers, server.process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)


@contextlib.contextmanager
def open_service(home: Path, **variables: str) -> Iterator[tuple[Server, httpx.Client]]:
    """Start the search service, wait until it is ready, yield it with a client, and stop it at the end."""
    server = start_server(SERVICE, home, **variables)
    try:
        server.wait_until_ready()
        with httpx.Client(base_url=server.url, timeout=60) as client:
            yield server, client
    finally:
        stop_server(server)
