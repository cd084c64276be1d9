"""A limit on the size of request bodies, before anything reads or parses them."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from starlette.responses import JSONResponse

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]


class BodyLimit:
    """ASGI middleware that answers 413 to bodies above `max_bytes`; no more than that is ever held."""

    def __init__(self, app: App, *, max_bytes: int) -> None:
        """Wrap an application."""
        self.app = app
        self.max_bytes = max_bytes

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it by its declared or its counted length."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        declared = dict(scope["headers"]).get(b"content-length")
        if declared is not None and (not declared.isdigit() or int(declared) > self.max_bytes):
            await self._refuse(scope, receive, send)
            return
        messages = None if declared is not None else await self._read_all(receive)
        if declared is None and messages is None:
            await self._refuse(scope, receive, send)
            return
        await self.app(scope, receive if messages is None else _replay(messages, receive), send)

    async def _read_all(self, receive: Receive) -> list[Message] | None:
        messages: list[Message] = []
        num_bytes = 0
        while True:
            message = await receive()
            messages.append(message)
            num_bytes += len(message.get("body", b""))
            if num_bytes > self.max_bytes:
                return None
            if message["type"] != "http.request" or not message.get("more_body", False):
                return messages

    async def _refuse(self, scope: Message, receive: Receive, send: Send) -> None:
        response = JSONResponse({"error": f"the body is larger than {self.max_bytes} bytes"}, 413, {"Connection": "close"})
        await response(scope, receive, send)


def _replay(messages: list[Message], receive: Receive) -> Receive:
    waiting = iter(messages)

    async def replayed() -> Message:
        message = next(waiting, None)
        return message if message is not None else await receive()

    return replayed
