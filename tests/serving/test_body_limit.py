"""Bodies above the limit are refused by their declared and by their counted length; others pass unchanged."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from serving.body_limit import BodyLimit


class Client:
    """Asks an application without a server."""

    def __init__(self, app: Any) -> None:
        self.app = app

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.request("GET", path, **options)

    def post(self, path: str, **options: Any) -> httpx.Response:
        return self.request("POST", path, **options)

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        async def ask() -> httpx.Response:
            async with httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url="http://test") as client:
                return await client.request(method, path, **options)

        return asyncio.run(ask())


async def echo(request: Request) -> Response:
    return Response(await request.body())


@pytest.fixture
def client() -> Client:
    return Client(BodyLimit(Starlette(routes=[Route("/", echo, methods=["GET", "POST"])]), max_bytes=10))


async def in_parts(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


def test_a_body_of_the_limit_passes(client: Client) -> None:
    assert client.post("/", content=b"0123456789").content == b"0123456789"


def test_a_body_above_the_limit_is_refused_with_the_limit(client: Client) -> None:
    answer = client.post("/", content=b"0123456789a")
    assert answer.status_code == 413
    assert answer.json() == {"error": "the body is larger than 10 bytes"}


def test_a_body_in_parts_is_counted(client: Client) -> None:
    assert client.post("/", content=in_parts(b"01234", b"56789")).content == b"0123456789"
    assert client.post("/", content=in_parts(b"01234", b"56789", b"a")).status_code == 413


@pytest.mark.parametrize("declared", ["-1", "many", "99999999999999999999"])
def test_a_declared_length_that_is_wrong_or_huge_is_refused(client: Client, declared: str) -> None:
    assert client.post("/", content=b"a", headers={"Content-Length": declared}).status_code == 413


def test_a_request_without_body_passes(client: Client) -> None:
    assert client.get("/").status_code == 200
