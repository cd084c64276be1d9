"""For tests of real processes: a free port of loopback, waiting for a condition, and services on it."""

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

START_LIMIT_S, STOP_LIMIT_S = 180, 60  # on a machine with other work
SERVICE = ("serving.service:CuepointService", "--working-dir", str(Path(__file__).resolve().parents[1]))


def find_free_port() -> int:
    """Return a port of loopback that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def wait_until(condition: Callable[[], bool], limit_s: float, *, what: Callable[[], str] = lambda: "") -> bool:
    """Wait for a condition and return True; the test fails, saying `what`, when it does not come true in time."""
    deadline_s = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > deadline_s:
            pytest.fail(f"waited {limit_s} s in vain; {what()}")
        time.sleep(0.1)
    return True


def is_ready(url: str) -> bool:
    """Return whether the service at `url` says that it is ready."""
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
        """Return what it has said."""
        return (self.home / "serve.log").read_text(errors="replace")

    def wait_until_ready(self) -> None:
        """Wait until it answers."""
        wait_until(lambda: is_ready(self.url), START_LIMIT_S, what=self.read_log)


def start_server(arguments: Sequence[str], home: Path, **variables: str) -> Server:
    """Start `bentoml serve` on loopback, with its state in its home and no limit on the rate unless told otherwise."""
    port = find_free_port()
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("CUEPOINT_", "PYTHONPATH"))}
    own = {"BENTOML_HOME": str(home), "CUEPOINT_STATE": str(home / "state"), "CUEPOINT_RATE_PER_MINUTE": "0"}
    environment |= {"BENTOML_DO_NOT_TRACK": "True", **own, **variables}
    command = [sys.executable, "-m", "bentoml", "serve", *arguments, "--host", "127.0.0.1", "--port", str(port)]
    with (home / "serve.log").open("ab") as log:
        process = subprocess.Popen(command, env=environment, cwd=home, stdout=log, stderr=log, start_new_session=True)
    return Server(process, f"http://127.0.0.1:{port}", home)


def is_running(number: int) -> bool:
    """Return whether a process is there and has not ended."""
    state = Path(f"/proc/{number}/stat")
    return state.exists() and state.read_text().rpartition(")")[2].split()[0] != "Z"


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
    """Start the search service, wait until it is ready, and give it with a client of it; it is stopped at the end."""
    server = start_server(SERVICE, home, **variables)
    try:
        server.wait_until_ready()
        with httpx.Client(base_url=server.url, timeout=60) as client:
            yield server, client
    finally:
        stop_server(server)
