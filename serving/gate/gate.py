"""Middleware around every request: drain, rate limit, access, capacity, size of the body, safe headers."""

import logging
import time
from dataclasses import dataclass, field

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from serving.api.errors import answer_error
from serving.api.metrics import ServiceMetrics
from serving.gate.access import answer_login, find_objection
from serving.gate.bento_timer import drop_timer
from serving.gate.body import App, BoundedBody, Message, Receive, Send, require_length
from serving.gate.drain import Drain
from serving.gate.endpoints import HEALTH, LOGIN, Kind, find_kind, is_rated, name_endpoint
from serving.gate.handover import Handover, is_change
from serving.gate.rate import RateLimit
from serving.startup.settings import Settings

MAX_JSON_BYTES = 64 * 1024
MULTIPART_BYTES = 16 * 1024  # of a form, without its file
CAPACITY: dict[Kind, int] = {
    "search": 32,
    "upload": 4,
    "media": 256,
    "other": 256,
}  # requests in flight; more are answered with 429
_METHODS = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})
_RETRY_S = "1"
_HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src 'self'; "
    "connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "same-origin",  # with no-referrer browsers hide the origin of the login form
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
_RAW_HEADERS = [(name.encode(), value.encode()) for name, value in _HEADERS.items()]

logger = logging.getLogger("bentoml.cuepoint")
access_logger = logging.getLogger("bentoml.access")


@dataclass
class Controls:
    """State of the gate; `configure` opens it."""

    drain: Drain = field(default_factory=Drain)
    metrics: ServiceMetrics = field(default_factory=ServiceMetrics)
    running: dict[Kind, int] = field(default_factory=lambda: dict.fromkeys(CAPACITY, 0))
    settings: Settings | None = None
    rate: RateLimit | None = None

    @property
    def handover(self) -> Handover:
        """The hand-over to a successor."""
        return self.drain.handover

    def configure(self, settings: Settings) -> None:
        """Admit requests within these limits."""
        self.rate = RateLimit(settings.rate_per_minute)
        self.metrics.track_running(lambda: self.drain.num_running)
        self.settings = settings


class Gate:
    """ASGI middleware around the whole service, BentoML's own pages included."""

    def __init__(self, app: App, *, controls: Controls) -> None:
        """Wrap an application."""
        self._app, self._controls = app, controls

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it with the reason."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        elif scope["type"] == "http":
            await self._answer(_Exchange(scope, receive, send, self._controls.handover))
        else:
            drop_timer(scope["app"])
            await self._app(scope, receive, send)

    async def _answer(self, exchange: "_Exchange") -> None:
        controls, start_s = self._controls, time.perf_counter()
        if exchange.endpoint not in HEALTH:
            controls.drain.begin()
        if exchange.is_change:
            controls.handover.begin()
        try:
            await self._pass(exchange)
        except HTTPException as error:
            await exchange.refuse(answer_error(error.status_code, error.detail, error.headers))
        except Exception:
            logger.exception("a request to %s failed", exchange.endpoint)
            await exchange.refuse(answer_error(500, "the server failed; its log says why"))
        finally:
            if exchange.endpoint not in HEALTH:
                controls.drain.end()
            if exchange.is_change:
                controls.handover.end()
            method = exchange.method if exchange.method in _METHODS else "other"
            duration_s = time.perf_counter() - start_s
            controls.metrics.observe(exchange.endpoint, method, exchange.status, duration_s)
            if exchange.endpoint not in HEALTH:
                access_logger.info("%s %s %d %.1f ms", method, exchange.endpoint, exchange.status, 1000 * duration_s)

    async def _pass(self, exchange: "_Exchange") -> None:
        settings, running = self._controls.settings, self._controls.running
        kind = find_kind(exchange.method, exchange.endpoint)
        refusal = self._find_refusal(exchange, settings)
        if refusal is None and running[kind] >= CAPACITY[kind]:
            refusal = answer_error(429, "the service is at capacity; try again", {"Retry-After": _RETRY_S})
        if refusal is not None or settings is None:
            await exchange.refuse(refusal or _answer_unconfigured())
            return
        limit = settings.max_upload_bytes + MULTIPART_BYTES if kind == "upload" else MAX_JSON_BYTES
        exchange.bound_body(limit)
        running[kind] += 1
        try:
            if exchange.endpoint == LOGIN:
                answer = await answer_login(Request(exchange.scope, exchange.receive), settings)
                await answer(exchange.scope, exchange.receive, exchange.send)
            else:
                await self._app(exchange.scope, exchange.receive, exchange.send)
        finally:
            running[kind] -= 1

    def _find_refusal(self, exchange: "_Exchange", settings: Settings | None) -> Response | None:
        rate = self._controls.rate
        if settings is None or rate is None:
            return _answer_unconfigured()
        if self._controls.drain.is_ending and exchange.endpoint not in HEALTH:
            return answer_error(503, "the service is shutting down; try again soon", {"Retry-After": "5", "Connection": "close"})
        if exchange.is_change and self._controls.handover.is_giving:
            return answer_error(503, "a new model takes over; try again in a moment", {"Retry-After": _RETRY_S})
        objection = find_objection(Request(exchange.scope), settings)
        is_guess = objection is not None and objection.status_code == 401
        if is_guess or is_rated(exchange.method, exchange.endpoint):
            wait_s = rate.take((exchange.scope.get("client") or ("",))[0])
            if wait_s:
                message = f"more than {settings.rate_per_minute} requests in a minute; try again in {wait_s} s"
                return answer_error(429, message, {"Retry-After": str(wait_s)})
        if objection is None and "\n" in exchange.scope["path"]:  # BentoML finds no route for it and answers without JSON
            return answer_error(404, "this path does not exist: it has a line break")
        return objection


class _Exchange:
    """One request and its response."""

    def __init__(self, scope: Message, receive: Receive, send: Send, handover: Handover) -> None:
        self._handover = handover
        self.scope, self.receive, self._send = scope, receive, send
        self.method: str = scope["method"]
        self.endpoint = name_endpoint(scope["path"])
        self.is_change = is_change(self.method, self.endpoint)
        self.status = 0

    def bound_body(self, max_bytes: int) -> None:
        """Limit the size of the body.

        Raises:
            BodyTooLargeError: when the declared length exceeds the limit.
        """
        require_length(dict(self.scope["headers"]).get(b"content-length"), max_bytes)
        self.receive = BoundedBody(self.receive, max_bytes=max_bytes)

    async def send(self, message: Message) -> None:
        """Send a part of the response, with the headers of every response."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            given = [header for header in message.get("headers", []) if header[0].lower() != b"server"]
            if self._handover.is_leaving:
                given = [header for header in given if header[0].lower() != b"connection"] + [(b"connection", b"close")]
            message = {**message, "headers": [*given, *_RAW_HEADERS]}
        await self._send(message)

    async def refuse(self, response: Response) -> None:
        """Send a refusal, unless a response has begun."""
        if not self.status:
            await response(self.scope, self.receive, self.send)


def _answer_unconfigured() -> Response:
    return answer_error(503, "the service is not configured; its log says why", {"Retry-After": "5"})
