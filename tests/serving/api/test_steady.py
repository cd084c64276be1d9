"""A service behind a token is killed and stopped: no acknowledged change is lost, and no running request is cut."""

import contextlib
import os
import signal
import socket
from pathlib import Path
from typing import Any

import httpx
import pytest

from corpus.files import read_jsonl
from loopback import SERVICE, STOP_LIMIT_S, Server, start_server, stop_server, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.fault]
TOKEN = "a secret of this test"
ACCESS = {"Authorization": f"Bearer {TOKEN}"}
FEEDBACK = {"query": "a circle", "video_id": "v1", "start_s": 0, "end_s": 1, "verdict": "right"}
HEALTH = ["/livez", "/readyz", "/healthz"]
EVERYTHING = [
    "/",
    "/page/app.js",
    "/search",
    "/videos",
    "/media/v1",
    "/thumbnails/v1/0.jpg",
    "/metrics",
    "/openapi.json",
    "/docs.json",
    "/schema.json",
    "/static_content/index.html",
    "/nowhere",
]


def start(home: Path, environment: dict[str, str], **variables: str) -> Server:
    server = start_server(SERVICE, home, CUEPOINT_TOKEN=TOKEN, CUEPOINT_OPEN_HEALTH="1", **environment, **variables)
    try:
        server.wait_until_ready()
    except BaseException:
        stop_server(server)
        raise
    return server


def kill(server: Server) -> None:
    """Kill all processes of a service at once, like a power failure."""
    for number in (*server.find_children(), server.process.pid):
        with contextlib.suppress(ProcessLookupError):
            os.kill(number, signal.SIGKILL)
    server.process.wait()


def wait_until_indexed(client: httpx.Client, video_id: str) -> dict[str, Any]:
    row: dict[str, Any] = {}

    def is_done() -> bool:
        row.update(client.get(f"/videos/{video_id}").raise_for_status().json())
        return row["state"] in ("ready", "failed")

    wait_until(is_done, 180)
    return row


def upload(client: httpx.Client, content: bytes) -> str:
    answer = client.post("/videos", files={"file": ("clip.mp4", content)})
    assert answer.status_code == 202, answer.text
    return str(answer.json()["video_id"])


def test_acknowledged_changes_survive_a_kill_and_a_shutdown(
    small_environment: dict[str, str], clip: bytes, tmp_path: Path
) -> None:
    others = [clip + bytes([0, 0, 0, 9]) + b"free" + bytes([number]) for number in range(3)]
    first = start(tmp_path, small_environment)
    try:
        with httpx.Client(base_url=first.url, headers=ACCESS, timeout=60) as client:
            ready = upload(client, clip)
            assert wait_until_indexed(client, ready)["state"] == "ready"
            gone = upload(client, others[2])
            assert client.delete(f"/videos/{gone}").status_code == 204
            assert client.delete("/videos/v0").status_code == 204
            assert client.post("/feedback", json=FEEDBACK).status_code == 201
            waiting = [upload(client, content) for content in others[:2]]
        kill(first)
    finally:
        stop_server(first)
    half = tmp_path / "state" / "incoming" / "half"
    half.mkdir()
    (half / "original").write_bytes(clip[:100])
    with (tmp_path / "state" / "feedback.jsonl").open("ab") as file:
        file.write(b'{"half a li')  # the state after a kill during a write

    second = start(tmp_path, small_environment)
    try:
        with httpx.Client(base_url=second.url, headers=ACCESS, timeout=60) as client:
            assert client.get(f"/videos/{ready}").json()["state"] == "ready"
            assert {wait_until_indexed(client, video_id)["state"] for video_id in waiting} == {"ready"}
            assert client.get(f"/videos/{gone}").status_code == client.get("/videos/v0").status_code == 404
            found = client.post("/search", json={"query": "a circle", "top_k": 100}).json()
            assert {one["video_id"] for one in found["moments"]} <= {"v1", "v2", "v3", ready, *waiting}
            assert client.post("/localize", json={"query": "a circle", "video_id": ready}).status_code == 200
            assert client.post("/feedback", json=FEEDBACK).status_code == 201
            assert not list((tmp_path / "state" / "incoming").iterdir())
            check_token(second)
            check_empty(client)
            check_drain(second, client, clip)
    finally:
        stop_server(second)
    assert len(list(read_jsonl(tmp_path / "state" / "feedback.jsonl"))) == 2


def check_token(server: Server) -> None:
    """No path answers without the token, except the login form and, with this service's settings, health."""
    for path in EVERYTHING:
        for method in ("GET", "POST", "PUT"):
            answer = httpx.request(method, server.url + path)
            assert (answer.status_code, list(answer.json())) == (401, ["error"]), (method, path)
        assert httpx.get(server.url + path, headers={"Authorization": "Bearer wrong"}).status_code == 401
    assert [httpx.get(server.url + path).status_code for path in HEALTH] == [200] * 3
    shown = httpx.get(server.url, headers={"Accept": "text/html"}, follow_redirects=True)
    assert "needs a token" in shown.text
    with httpx.Client(base_url=server.url) as client:
        assert client.post("/login", data={"token": "wrong"}).status_code == 401
        assert client.post("/login", data={"token": TOKEN}).headers["location"] == "/"
        assert client.get("/media/v1").status_code == 200
        assert TOKEN not in str(client.cookies)
    assert TOKEN not in server.read_log()


def check_empty(client: httpx.Client) -> None:
    """After the deletion of every video, a search finds nothing and does not fail."""
    for row in client.get("/videos").json()["videos"]:
        assert client.delete(f"/videos/{row['video_id']}").status_code == 204
    assert client.get("/videos").json()["videos"] == []
    answer = client.post("/search", json={"query": "a circle"})
    assert answer.status_code == 200, answer.text
    assert (answer.json()["found"], answer.json()["moments"], answer.json()["best_guess"]) == (False, [], None)
    assert client.post("/search/batch", json={"queries": ["a circle", "a square"]}).status_code == 200


def check_drain(server: Server, client: httpx.Client, clip: bytes) -> None:
    """On SIGTERM, the service finishes a running upload, refuses new requests, and ends."""
    content = clip + bytes([0, 0, 0, 9]) + b"free!"
    form = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.mp4"\r\n\r\n' + content + b"\r\n--b--\r\n"
    head = (
        f"POST /videos HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\nConnection: close\r\n"
        f"Content-Type: multipart/form-data; boundary=b\r\nContent-Length: {len(form)}\r\n\r\n"
    ).encode()
    with socket.create_connection(("127.0.0.1", int(server.url.rpartition(":")[2])), timeout=60) as connection:
        connection.sendall(head + form[:1000])
        wait_until(lambda: "cuepoint_requests_running 2.0" in client.get("/metrics").text)
        server.process.send_signal(signal.SIGTERM)
        wait_until(lambda: client.get("/livez").status_code == 200 and client.get("/readyz").status_code == 503)
        refused = client.post("/search", json={"query": "a circle"})
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
        assert "is shutting down" in refused.json()["error"]
        connection.sendall(form[1000:])
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 202")
    assert server.process.wait(timeout=STOP_LIMIT_S) == 0
