"""The service over its own Milvus server: equal answers, refusals while the server is down, answers when it is back."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from loopback import SERVICE, START_LIMIT_S, find_free_port, open_service, start_server, stop_server, wait_until

pytestmark = pytest.mark.slow
ASKED = {"query": "the red circle spins", "top_k": 9, "min_confidence": 0}
ANSWER_LIMIT_S = 60


@contextmanager
def run_milvus(folder: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """Serve a folder, and kill the server at the end, like a failing machine."""
    command = [sys.executable, "-m", "milvus_lite", "server", "--data-dir", str(folder)]
    with (folder.parent / "milvus.log").open("ab") as log:
        process = subprocess.Popen([*command, "--host", "127.0.0.1", "--port", str(port)], stdout=log, stderr=log)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


def ask(client: httpx.Client) -> httpx.Response:
    return client.post("/search", json=ASKED)


def require_same(found: Any, expected: Any) -> None:
    assert [moment["video_id"] for moment in found] == [moment["video_id"] for moment in expected]
    for name in ("start_s", "end_s", "score"):
        assert [moment[name] for moment in found] == pytest.approx([moment[name] for moment in expected], abs=1e-5)


def test_the_service_waits_for_milvus_and_refuses_searches_without_it(small_environment: dict[str, str], tmp_path: Path) -> None:
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
    with open_service(tmp_path / "here", **small_environment) as (_, client):
        expected = ask(client).json()["moments"]
    folder, port = tmp_path / "vectors", find_free_port()
    server = start_server(SERVICE, tmp_path / "there", CUEPOINT_MILVUS_URI=f"http://127.0.0.1:{port}", **small_environment)
    try:
        wait_until(lambda: "waiting until it answers" in server.read_log(), START_LIMIT_S, what=server.read_log)
        with run_milvus(folder, port), httpx.Client(base_url=server.url, timeout=ANSWER_LIMIT_S) as client:
            server.wait_until_ready()
            require_same(ask(client).json()["moments"], expected)
        with httpx.Client(base_url=server.url, timeout=ANSWER_LIMIT_S) as client:
            refused = ask(client)
            assert (refused.status_code, "Retry-After" in refused.headers) == (503, True)
            assert "the clip index does not answer" in refused.json()["error"]
            assert client.get("/livez").status_code == 200
            with run_milvus(folder, port):
                wait_until(lambda: ask(client).status_code == 200, ANSWER_LIMIT_S, what=server.read_log)
                require_same(ask(client).json()["moments"], expected)
    finally:
        stop_server(server)
