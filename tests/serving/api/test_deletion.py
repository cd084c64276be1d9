"""Deletion ends the work on a video: the process that encodes it ends, and the queue goes on."""

import os
import signal
from pathlib import Path
from typing import Any

import av
import httpx
import psutil
import pytest

from loopback import Server, is_running, open_service, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.fault]
LIMIT_S = 180


@pytest.fixture(scope="module")
def long_video(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Three hours of one picture a second: small to send, long to encode."""
    path = tmp_path_factory.mktemp("long") / "long.mp4"
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=1, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for _ in range(3 * 3600):
            container.mux(stream.encode(av.VideoFrame(64, 48, "yuv420p")))
        container.mux(stream.encode())
    return path.read_bytes()


def upload(client: httpx.Client, content: bytes, *, number: int) -> str:
    other = content + bytes([0, 0, 0, 9]) + b"free" + bytes([number])  # another content with the same pictures
    answer = client.post("/videos", files={"file": ("clip.mp4", other)})
    assert answer.status_code == 202, answer.text
    return str(answer.json()["video_id"])


def read_state(client: httpx.Client, video_id: str) -> str:
    return str(client.get(f"/videos/{video_id}").raise_for_status().json()["state"])


def find_encoder(server: Server) -> int:
    """Return the process that encodes: the only child of the service's worker that is not a helper of multiprocessing."""
    (worker,) = server.find_children()
    children = psutil.Process(worker).children(recursive=True)
    (encoder,) = (child.pid for child in children if "spawn_main" in " ".join(child.cmdline()))
    return encoder


def wait_until_encoding(server: Server, client: httpx.Client, video_id: str) -> int:
    """Return the process that encodes an upload, once it reports progress."""

    def has_begun() -> bool:
        row = client.get(f"/videos/{video_id}").raise_for_status().json()
        assert row["state"] in ("waiting", "indexing"), row
        return bool(row["progress"] > 0)

    wait_until(has_begun, LIMIT_S, what=server.read_log)
    return find_encoder(server)


def list_files(state_dir: Path) -> set[str]:
    """Return the stems of the names of all files that are kept for uploads."""
    folders = [path.name for path in (state_dir / "uploads").iterdir()]
    encoded = [path.name.lstrip(".").partition(".")[0] for path in (state_dir / "encoded").rglob("*") if path.is_file()]
    return {f"upload-{name.removeprefix('upload-')[:16]}" for name in folders + encoded}


def test_a_deleted_upload_stops_being_encoded_and_one_that_waits_never_starts(
    small_environment: dict[str, str], small_project: Any, long_video: bytes, tmp_path: Path
) -> None:
    short = (small_project.raw / "videos" / "v1.mp4").read_bytes()
    with open_service(tmp_path, **small_environment) as (server, client):
        endless, waiting, last = (upload(client, content, number=n) for n, content in enumerate((long_video, long_video, short)))
        encoder = wait_until_encoding(server, client, endless)
        assert client.delete(f"/videos/{waiting}").status_code == 204
        assert client.delete(f"/videos/{endless}").status_code == 204
        assert not is_running(encoder)
        wait_until(lambda: read_state(client, last) == "ready", LIMIT_S, what=server.read_log)
        assert [client.get(f"/videos/{video_id}").status_code for video_id in (endless, waiting)] == [404, 404]
        assert list_files(tmp_path / "state") == {last}
        assert not list((tmp_path / "state" / "incoming").iterdir())


def test_after_a_kill_an_upload_is_encoded_again_until_it_is_deleted(
    small_environment: dict[str, str], long_video: bytes, tmp_path: Path
) -> None:
    with open_service(tmp_path, **small_environment) as (server, client):
        endless = upload(client, long_video, number=0)
        encoder = wait_until_encoding(server, client, endless)
        for process in (*server.find_children(), server.process.pid):
            os.kill(process, signal.SIGKILL)
        server.process.wait()
        wait_until(lambda: not is_running(encoder), LIMIT_S)
    with open_service(tmp_path, **small_environment) as (server, client):
        encoder = wait_until_encoding(server, client, endless)
        assert client.delete(f"/videos/{endless}").status_code == 204
        assert not is_running(encoder)
        assert list_files(tmp_path / "state") == set()
    with open_service(tmp_path, **small_environment) as (_, client):
        assert client.get(f"/videos/{endless}").status_code == 404
