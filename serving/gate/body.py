"""Bounds on the length and time of request bodies, checked while they stream."""

import asyncio
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from starlette.exceptions import HTTPException

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

_PATIENCE_S = 10.0
_LEAST_BYTES_PER_S = 32 * 1024


class BodyTooLargeError(HTTPException):
    """A body exceeds the size limit."""

    def __init__(self, max_bytes: int) -> None:
        super().__init__(413, f"the body is larger than the limit of {max_bytes} bytes", {"Connection": "close"})


class BodyTooSlowError(HTTPException):
    """A body exceeds the time limit."""

    def __init__(self) -> None:
        message = f"the body arrives too slowly: the limit is {_PATIENCE_S:.0f} s plus 1 s for each {_LEAST_BYTES_PER_S} bytes"
        super().__init__(408, message, {"Connection": "close"})


def require_length(declared: bytes | None, max_bytes: int) -> None:
    """Refuse a declared length that is invalid or too large.

    Raises:
        BodyTooLargeError: naming the limit.
    """
    if declared is not None and (not declared.isdigit() or len(declared) > 18 or int(declared) > max_bytes):
        raise BodyTooLargeError(max_bytes)


class BoundedBody:
    """An ASGI `receive` that refuses a body that is too long or too slow."""

    def __init__(self, receive: Receive, *, max_bytes: int) -> None:
        """Wrap an ASGI `receive`."""
        self._receive, self._max_bytes = receive, max_bytes
        self._num_bytes = 0
        self._is_whole = False
        self._start_s = time.monotonic()

    async def __call__(self) -> Message:
        """Receive the next message.

        Raises:
            BodyTooLargeError: when the body exceeds the size limit.
            BodyTooSlowError: when the body exceeds the time limit.
        """
        if self._is_whole:
            return await self._receive()
        allowed_s = _PATIENCE_S + self._num_bytes / _LEAST_BYTES_PER_S
        try:
            message = await asyncio.wait_for(self._receive(), self._start_s + allowed_s - time.monotonic())
        except TimeoutError as error:
            raise BodyTooSlowError from error
        self._num_bytes += len(message.get("body", b""))
        if self._num_bytes > self._max_bytes:
            raise BodyTooLargeError(self._max_bytes)
        self._is_whole = not message.get("more_body", False)
        return message
