"""One server of the small project for all tests of the HTTP application, and videos to upload."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from loopback import SERVICE, Server, start_server, stop_server


@dataclass(frozen=True)
class Api:
    """A running service and a client of it."""

    server: Server
    client: httpx.Client


@pytest.fixture(scope="session")
def small_environment(small_project: Any) -> dict[str, str]:
    """The variables that let a service answer from the small project."""
    return {
        "CUEPOINT_BUNDLE": str(small_project.bundle),
        "CUEPOINT_INDEX": str(small_project.index),
        "CUEPOINT_MEDIA_ROOT": str(small_project.raw),
    }


@pytest.fixture(scope="session")
def api(small_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """A service over the small project; tests leave its collection as it is."""
    home = tmp_path_factory.mktemp("api")
    server = start_server(SERVICE, home, CUEPOINT_MAX_UPLOAD_MB="2", CUEPOINT_MAX_VIDEO_S="60", **small_environment)
    try:
        server.wait_until_ready()
        with httpx.Client(base_url=server.url, timeout=60) as client:
            yield Api(server, client)
    finally:
        stop_server(server)
