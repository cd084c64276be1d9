"""One error format for every refusal: {"error": "what is wrong with which value, and what to do"}."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse

from serving.library.catalogue import ConvertingError, LimitError

_SHOWN_CHARACTERS = 60
_SHOWN_FAULTS = 3

logger = logging.getLogger("bentoml.cuepoint")


def answer_error(status_code: int, message: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """Return the response to a refused request."""
    return JSONResponse({"error": message}, status_code, dict(headers or {}))


def add_error_handlers(app: Starlette) -> None:
    """Answer every exception in this format."""
    from fastapi.exceptions import RequestValidationError  # noqa: PLC0415 # the gate needs no FastAPI

    app.add_exception_handler(RequestValidationError, _answer_invalid)
    app.add_exception_handler(HTTPException, _answer_http)
    app.add_exception_handler(ClientDisconnect, _answer_nobody)
    app.add_exception_handler(LimitError, _answer_limit)
    app.add_exception_handler(ConvertingError, _answer_converting)


def describe_faults(faults: Sequence[Mapping[str, Any]]) -> str:
    """Describe the faults that pydantic found, with their values; long values are cut."""
    shown = [_describe_fault(fault) for fault in faults[:_SHOWN_FAULTS]]
    more = len(faults) - len(shown)
    return "; ".join(shown) + (f"; and {more} more" if more > 0 else "")


def _describe_fault(fault: Mapping[str, Any]) -> str:
    place = ".".join(str(part) for part in fault["loc"][1:]) or str(fault["loc"][0])
    place = ascii(place)[1:-1][:_SHOWN_CHARACTERS]
    message = str(fault["msg"]).removeprefix("Value error, ")
    if fault["type"] in ("missing", "value_error"):
        return f"{place}: {message}"
    return f"{place}: {message}, got {show_value(fault.get('input'))}"


def show_value(value: object) -> str:
    """Return a value for a message: printable ASCII, cut to a bounded length."""
    if isinstance(value, (dict, list)):
        return f"an {'object' if isinstance(value, dict) else 'array'} of {len(value)}"
    text = ascii(value if isinstance(value, (str, int, float, bool)) else type(value).__name__)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}... ({len(text)} characters)"


async def _answer_invalid(_: Request, error: Any) -> JSONResponse:
    return answer_error(400, f"{describe_faults(error.errors())}; /openapi.json lists the accepted values")


async def _answer_http(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    return answer_error(error.status_code, str(error.detail), error.headers)


async def _answer_nobody(*_: object) -> JSONResponse:
    return answer_error(499, "the client closed the connection before it had sent the whole request")


async def _answer_limit(_: Request, error: Exception) -> JSONResponse:
    return answer_error(409, str(error))


async def _answer_converting(_: Request, error: Exception) -> JSONResponse:
    return answer_error(503, str(error), {"Retry-After": "2"})
