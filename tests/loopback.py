"""For tests of real processes: a free port of loopback, waiting for a condition, and whether a service is ready."""

import socket
import time
from collections.abc import Callable

import httpx
import pytest


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
