"""Files of the page, and the response to unknown paths."""

from pathlib import Path
from typing import TYPE_CHECKING

from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Match

from serving.api.page_dir import PAGE_DIR
from serving.gate.client_key import give_client_key

if TYPE_CHECKING:
    from serving.startup.service_state import ServiceState

_INDEX = "index.html"
_MEDIA_TYPES = {
    ".css": "text/css",
    ".html": "text/html",
    ".ico": "image/x-icon",
    ".js": "text/javascript",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".woff2": "font/woff2",
}
_FRESH = {"Cache-Control": "no-cache"}


async def show_index(request: Request) -> Response:
    """Return the page."""
    response = _send(PAGE_DIR / _INDEX)
    state: ServiceState = request.app.state.service
    if state.loaded and state.loaded.variants.is_shared:
        give_client_key(request, response)
    return response


async def show_page_file(name: str) -> Response:
    """Return a file of the page."""
    path = PAGE_DIR / name
    if path.name != name or path.suffix not in _MEDIA_TYPES or name == _INDEX:
        raise HTTPException(404, "the page has no such file; open /")
    return _send(path)


async def answer_nowhere(request: Request) -> Response:
    """Refuse an unknown path, or a method that a path does not support.

    Raises:
        HTTPException: 404 or 405.
    """
    routes: list[APIRoute] = request.app.state.routes
    scope = dict(request.scope)
    known = {method for route in routes if route.matches(scope)[0] is Match.PARTIAL for method in route.methods or ()}
    if known:
        allowed = ", ".join(sorted(known))
        raise HTTPException(405, f"this path does not support {request.method}; use {allowed}", {"Allow": allowed})
    raise HTTPException(404, "this path does not exist; /openapi.json lists the endpoints")


def _send(path: Path) -> Response:
    if not path.is_file():
        raise HTTPException(404, "the page has no such file; open /")
    return FileResponse(path, media_type=_MEDIA_TYPES[path.suffix], headers=_FRESH)
