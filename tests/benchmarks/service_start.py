"""Cost of a start: CPU time of all processes until the service, or the page of the runs, answers."""

import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import IO, NamedTuple

import httpx
import psutil

from loopback import find_free_port, wait_until

LIMIT_S = 600


class Way(NamedTuple):
    """A make target, the variable of its port, and the path that answers when it is ready."""

    target: str
    port_variable: str
    path: str


SERVE, UI = Way("serve", "PORT", "/readyz"), Way("ui", "UI_PORT", "/health")


def measure_starts(checkout: Path, rounds: int) -> dict[str, float]:
    """Return the CPU seconds of each way to start in a finished checkout, the minimum of some rounds."""
    first, later, page = [], [], []
    for _ in range(rounds):
        shutil.rmtree(checkout / ".cache" / "bentoml", ignore_errors=True)  # the bento that is unpacked once
        first.append(measure(SERVE, checkout))
        later.append(measure(SERVE, checkout))
        page.append(measure(UI, checkout))
    return {"make serve, the first time": min(first), "make serve": min(later), "make ui": min(page)}


def measure(way: Way, checkout: Path) -> float:
    """Start one server, wait until it answers, end it, and return the CPU seconds of all its processes until then."""
    port = find_free_port()
    command = ["make", "-o", ".venv/.installed", way.target, f"{way.port_variable}={port}"]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}  # the checkout's own code
    with tempfile.TemporaryFile("w+") as log:
        server = subprocess.Popen(command, cwd=checkout, env=environment, stdout=log, stderr=log, start_new_session=True)
        try:
            wait_until(lambda: _answers(f"http://127.0.0.1:{port}{way.path}"), LIMIT_S, what=lambda: _read(log))
            return _count_cpu_s(psutil.Process(server.pid))
        finally:
            for process in psutil.Process(server.pid).children(recursive=True):
                process.send_signal(signal.SIGTERM)
            server.wait()


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=5).status_code == 200
    except httpx.HTTPError:
        return False


def _count_cpu_s(root: psutil.Process) -> float:
    """Return the CPU time of running processes, and of ended processes that were waited for."""
    return sum(sum(process.cpu_times()[:4]) for process in (root, *root.children(recursive=True)))


def _read(log: IO[str]) -> str:
    log.seek(0)
    return log.read()[-2000:]
