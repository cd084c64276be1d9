"""Strict JSON bodies: the declared content type, no repeated names, bounded nesting."""

import json
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response


class JsonRoute(APIRoute):
    """A route whose body is JSON."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler, which reads the body strictly."""
        handle = super().get_route_handler()

        async def handle_strictly(request: Request) -> Response:
            if request.method == "POST":
                _require_json(request.headers.get("content-type", ""))
            return await handle(_StrictRequest(request.scope, request.receive))

        return handle_strictly


class _StrictRequest(Request):
    async def json(self) -> Any:
        try:
            return json.loads(await self.body(), object_pairs_hook=_build_object)
        except RecursionError as error:
            raise HTTPException(400, "the body is nested too deeply; send a flat JSON object") from error
        except UnicodeDecodeError as error:
            raise HTTPException(400, "the body is not UTF-8; send JSON in UTF-8") from error
        except ValueError as error:  # includes numbers with thousands of digits
            raise HTTPException(400, f"the body is not strict JSON: {_shorten(error)}; send one JSON object") from error


def _require_json(content_type: str) -> None:
    name = content_type.partition(";")[0].strip().lower()
    if name != "application/json":
        shown = ascii(name[:60])
        raise HTTPException(415, f"the content type is {shown}; send JSON, with Content-Type: application/json")


def _build_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the name {ascii(twice)[:60]} occurs twice")
    return found


def _shorten(error: ValueError) -> str:
    return str(error).partition(";")[0][:120]
