"""The gate of every request: configuration, drain, rate, access, capacity, body and headers."""

import asyncio
import re
import threading
from collections.abc import AsyncIterator
from html import unescape
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from serving.api.errors import add_error_handlers
from serving.gate import body
from serving.gate.gate import CAPACITY, Controls, Gate
from serving.gate.handover import Handover
from serving.gate.rate import RateLimit
from serving.startup.settings import Settings, find_settings


class Service:
    """An application behind the gate, called without a server."""

    def __init__(self, **environment: str) -> None:
        self.controls = Controls()
        self.release = asyncio.Event()
        self.controls.configure(find_settings(environment))
        routes = [Route("/search", self.echo, methods=["GET", "POST"]), Route("/fail", self.fail), Route("/wait", self.wait)]
        app = Starlette(routes=routes)
        add_error_handlers(app)
        self.app = Gate(app, controls=self.controls)

    async def echo(self, request: Request) -> Response:
        return JSONResponse(len(await request.body()))

    async def fail(self, _: Request) -> Response:
        raise RuntimeError("a secret of the server")

    async def wait(self, _: Request) -> Response:
        await self.release.wait()
        return JSONResponse("done")

    def ask(self, path: str, method: str = "GET", **options: Any) -> httpx.Response:
        return asyncio.run(self.ask_now(path, method, **options))

    async def ask_now(self, path: str, method: str = "GET", **options: Any) -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url="http://test") as client:
            return await client.request(method, path, **options)


async def in_parts(*parts: bytes, pause_s: float = 0.0) -> AsyncIterator[bytes]:
    for part in parts:
        await asyncio.sleep(pause_s)
        yield part


def test_no_request_passes_before_the_configuration() -> None:
    service = Service()
    service.controls.settings = None
    assert service.ask("/search").status_code == 503


def test_a_body_at_the_limit_passes_and_a_larger_one_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serving.gate.gate.MAX_JSON_BYTES", 10)
    service = Service()
    assert service.ask("/search", "POST", content=b"0123456789").json() == 10
    for content in (b"0123456789a", in_parts(b"01234", b"56789", b"a")):
        answer = service.ask("/search", "POST", content=content)
        assert (answer.status_code, answer.json()["error"]) == (413, "the body is larger than the limit of 10 bytes")


@pytest.mark.parametrize("declared", ["-1", "many", "99999999999999999999", "²"])
def test_a_declared_length_that_is_wrong_or_huge_is_refused(declared: str) -> None:
    headers = {b"content-length": declared.encode()}
    assert Service().ask("/search", "POST", content=b"a", headers=headers).status_code == 413


def test_a_body_that_is_too_slow_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body, "_PATIENCE_S", 0.2)
    answer = Service().ask("/search", "POST", content=in_parts(b"a", b"b", b"c", pause_s=0.15))
    assert answer.status_code == 408


def test_a_fast_body_may_take_longer_than_the_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body, "_PATIENCE_S", 0.2)
    monkeypatch.setattr(body, "_LEAST_BYTES_PER_S", 10)
    assert Service().ask("/search", "POST", content=in_parts(*[b"0123456789"] * 3, pause_s=0.1)).json() == 30


def test_an_unforeseen_failure_reveals_nothing_of_the_server() -> None:
    answer = Service().ask("/fail")
    assert answer.status_code == 500
    assert "secret" not in answer.text


def test_the_rate_is_limited_per_client_and_the_refusal_names_the_wait() -> None:
    service = Service(CUEPOINT_RATE_PER_MINUTE="2")
    assert [service.ask("/search", "POST").status_code for _ in range(3)] == [200, 200, 429]
    answer = service.ask("/search", "POST")
    assert 1 <= int(answer.headers["retry-after"]) <= 30
    assert "more than 2 requests in a minute" in answer.json()["error"]
    assert service.ask("/search").status_code == 200


def test_wrong_tokens_count_towards_the_rate() -> None:
    service = Service(CUEPOINT_RATE_PER_MINUTE="2", CUEPOINT_TOKEN="right")
    assert [service.ask("/search").status_code for _ in range(3)] == [401, 401, 429]
    assert service.ask("/search", headers={"Authorization": "Bearer right"}).status_code == 200


def test_a_bucket_fills_evenly_and_idle_clients_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serving.gate.rate._MAX_CLIENTS", 2)
    now_s = [0.0]
    rate = RateLimit(60, clock=lambda: now_s[0])
    assert [rate.take("a") for _ in range(61)] == [0] * 60 + [1]
    now_s[0] = 1.0
    assert (rate.take("a"), rate.take("a")) == (0, 1)
    assert [rate.take(client) for client in "bc"] == [0, 0]
    assert rate.take("a") == 0


def test_requests_above_the_capacity_are_answered_with_429(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CAPACITY, "other", 2)

    async def press() -> list[int]:
        service = Service()
        waiting = [asyncio.create_task(service.ask_now("/wait")) for _ in range(2)]
        await asyncio.sleep(0.05)
        refused = await service.ask_now("/wait")
        assert refused.headers["retry-after"] == "1"
        assert (await service.ask_now("/search")).status_code == 200
        service.release.set()
        return [refused.status_code, *[(await one).status_code for one in waiting], (await service.ask_now("/wait")).status_code]

    assert asyncio.run(press()) == [429, 200, 200, 200]


def test_a_service_that_shuts_down_refuses_new_requests() -> None:
    service = Service()
    service.controls.drain._is_ending.set()
    answer = service.ask("/search")
    assert (answer.status_code, answer.headers["connection"]) == (503, "close")
    assert service.controls.drain.num_running == 0


def test_a_service_that_gave_up_its_state_refuses_changes_and_searches_on() -> None:
    service = Service()
    service.controls.handover._is_giving.set()
    for method, path in (("POST", "/videos"), ("DELETE", "/videos/v1"), ("POST", "/feedback"), ("POST", "/localize/upload")):
        answer = service.ask(path, method)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1"), path
        assert answer.json()["error"] == "a new model takes over; try again in a moment"
    answer = service.ask("/search", "POST", content=b"a")
    assert (answer.status_code, answer.headers.get("connection")) == (200, None)
    assert service.ask("/videos").status_code == 404  # this application has no such route, so the request was passed on
    service.controls.handover._is_leaving = True
    assert service.ask("/search").headers["connection"] == "close"


def test_the_state_is_given_up_when_the_last_change_has_ended() -> None:
    handover, given = Handover(), threading.Event()
    handover.begin()
    handover._is_giving.set()
    thread = threading.Thread(target=handover._give, args=(given.set,))
    thread.start()
    assert not given.wait(0.3)
    handover.end()
    thread.join()
    assert given.is_set()


def test_a_websocket_is_closed() -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    asyncio.run(Service().app({"type": "websocket"}, receive, send))
    assert sent == [{"type": "websocket.close", "code": 1008}]


def test_the_token_opens_every_path_as_bearer_and_in_the_cookie_of_the_form() -> None:
    service = Service(CUEPOINT_TOKEN="right")
    for path in ("/search", "/livez", "/metrics", "/nowhere"):
        assert service.ask(path).status_code == 401
        assert service.ask(path, headers={"Authorization": "Bearer right "}).status_code in (200, 404)
    refused = service.ask("/login", "POST", data={"token": "wrong"})
    assert (refused.status_code, "set-cookie" in refused.headers) == (401, False)
    answer = service.ask("/login", "POST", data={"token": "right"})
    cookie = answer.headers["set-cookie"]
    assert all(part in cookie for part in ("HttpOnly", "SameSite=strict", "Path=/"))
    assert "right" not in cookie
    assert service.ask("/search", headers={"Cookie": cookie.partition(";")[0]}).status_code == 200
    assert service.ask("/search", headers={"Cookie": "cuepoint_access=right"}).status_code == 401


@pytest.mark.parametrize("link", ["/?q=a+red+circle&v=v1&t=1-2.5", "/?q=%22%3E%3Cscript%3E", "/?q=//elsewhere.org"])
def test_the_form_leads_to_the_link_that_was_opened(link: str) -> None:
    service = Service(CUEPOINT_TOKEN="right")
    asked = service.ask(link, headers={"Accept": "text/html"}).headers["location"]
    form = service.ask(asked).text
    assert "<script>" not in form
    (action,) = re.findall('action="([^"]*)"', form)
    refused = service.ask(unescape(action), "POST", data={"token": "wrong"})
    assert f'action="{action}"' in refused.text
    assert service.ask(unescape(action), "POST", data={"token": "right"}).headers["location"] == link


def test_without_a_token_there_is_no_login() -> None:
    assert Service().ask("/login").headers["location"] == "/"
    assert Service().ask("/login?page=q%3Da").headers["location"] == "/?q=a"


def test_the_form_never_leads_to_another_site() -> None:
    service = Service(CUEPOINT_TOKEN="right")
    for wanted in ("https://elsewhere.org", "//elsewhere.org", "\r\nLocation: https://elsewhere.org"):
        location = service.ask("/login", "POST", params={"page": wanted}, data={"token": "right"}).headers["location"]
        assert urlsplit(location)[:3] == ("", "", "/")


@pytest.mark.parametrize(
    ("environment", "reason"),
    [
        ({"CUEPOINT_TOKEN": ""}, "CUEPOINT_TOKEN is set but empty"),
        ({"CUEPOINT_TOKEN": " "}, "CUEPOINT_TOKEN is set but empty"),
        ({"CUEPOINT_TOKEN": "ü"}, "not printable ASCII"),
        ({"CUEPOINT_OPEN_HEALTH": "yes"}, "CUEPOINT_OPEN_HEALTH = 'yes': it must be 0 or 1"),
        ({"CUEPOINT_MAX_UPLOADS": "-1"}, "CUEPOINT_MAX_UPLOADS = '-1': it must be a whole number, at least 0"),
        ({"CUEPOINT_MAX_UPLOAD_MB": "0"}, "CUEPOINT_MAX_UPLOAD_MB = '0': it must be a whole number, at least 1"),
        ({"CUEPOINT_RATE_PER_MINUTE": "²"}, "CUEPOINT_RATE_PER_MINUTE = '²'"),
    ],
)
def test_a_wrong_variable_is_named(environment: dict[str, str], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        find_settings(environment)


def test_the_defaults_serve_without_a_token_on_loopback() -> None:
    assert find_settings({}) == Settings("", False, 600, 512, 14400, 100)
