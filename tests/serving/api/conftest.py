"""One server of the small project for all tests of the HTTP application, and videos to upload."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from loopback import Server, open_service, wait_until

INDEXING_LIMIT_S = 180


@dataclass(frozen=True)
class Api:
    """A running service and a client of it."""

    server: Server
    client: httpx.Client

    def upload(self, content: bytes, name: str = "clip.mp4", **fields: str) -> httpx.Response:
        """Upload a video."""
        return self.client.post("/videos", files={"file": (name, content, "application/octet-stream")}, data=fields)

    def wait_until_indexed(self, video_id: str) -> dict[str, Any]:
        """Return the state of an upload when it is ready or refused."""
        row: dict[str, Any] = {}

        def is_finished() -> bool:
            row.update(self.client.get(f"/videos/{video_id}").raise_for_status().json())
            return row["state"] in ("ready", "failed")

        wait_until(is_finished, INDEXING_LIMIT_S, what=lambda: f"{row}\n{self.server.read_log()}")
        return row


@pytest.fixture(scope="session")
def api(small_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """A service over the small project. Tests do not change its collection, and delete their uploads."""
    home = tmp_path_factory.mktemp("api")
    limits = {"CUEPOINT_MAX_UPLOAD_MB": "2", "CUEPOINT_MAX_VIDEO_S": "60"}
    with open_service(home, **limits, **small_environment) as (server, client):
        yield Api(server, client)


@pytest.fixture(scope="session")
def class_api(class_project: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """A service over a zero-shot pair; tests leave its collection as it is, and delete what they upload."""
    with open_service(tmp_path_factory.mktemp("classes"), **class_project.environment) as (server, client):
        yield Api(server, client)


@pytest.fixture(scope="session")
def pair_api(pair_project: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """A service over a fetched pair; tests leave its collection as it is, and delete what they upload."""
    with open_service(tmp_path_factory.mktemp("pair"), **pair_project.environment) as (server, client):
        yield Api(server, client)


@pytest.fixture
def clip(small_project: Any, request: pytest.FixtureRequest) -> bytes:
    """A video of 6 s that no other test uploads: its last bytes, which no player reads, are the test's name."""
    content: bytes = (small_project.raw / "videos" / "v1.mp4").read_bytes()
    name = request.node.nodeid.encode()
    return content + (len(name) + 8).to_bytes(4, "big") + b"free" + name
