"""One server of the small project for all tests of the HTTP application, and videos to upload."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from loopback import Server, open_service

INDEXING_LIMIT_S = 180


@dataclass(frozen=True)
class Api:
    """A running service and a client of it."""

    server: Server
    client: httpx.Client

    def upload(self, content: bytes, name: str = "clip.mp4", **fields: str) -> httpx.Response:
        """Send a video to keep."""
        return self.client.post("/videos", files={"file": (name, content, "application/octet-stream")}, data=fields)

    def wait_until_indexed(self, video_id: str) -> dict[str, Any]:
        """Return what is known of an upload when it is ready or refused."""
        deadline_s = time.monotonic() + INDEXING_LIMIT_S
        while True:
            row: dict[str, Any] = self.client.get(f"/videos/{video_id}").raise_for_status().json()
            if row["state"] in ("ready", "failed"):
                return row
            assert time.monotonic() < deadline_s, f"{row}\n{self.server.read_log()}"
            time.sleep(0.1)


@pytest.fixture(scope="session")
def api(small_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """A service over the small project; tests leave its collection as it is, and delete what they upload."""
    home = tmp_path_factory.mktemp("api")
    limits = {"CUEPOINT_MAX_UPLOAD_MB": "2", "CUEPOINT_MAX_VIDEO_S": "60"}
    with open_service(home, **limits, **small_environment) as (server, client):
        yield Api(server, client)


@pytest.fixture
def clip(small_project: Any, request: pytest.FixtureRequest) -> bytes:
    """A video of 6 s that no other test uploads: its last bytes, which no player reads, are the test's name."""
    content: bytes = (small_project.raw / "videos" / "v1.mp4").read_bytes()
    name = request.node.nodeid.encode()
    return content + (len(name) + 8).to_bytes(4, "big") + b"free" + name
