"""Access control: a token for every path, as a bearer token or in a cookie; pages of other sites are rejected."""

import hashlib
import hmac
from html import escape
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, RedirectResponse, Response

from serving.api.errors import answer_error
from serving.api.page_dir import PAGE_DIR
from serving.gate.endpoints import HEALTH, LOGIN
from serving.startup.settings import Settings

_COOKIE = "cuepoint_access"
_COOKIE_S = 30 * 24 * 3600
_MAX_FORM_BYTES = 4096
_WANTED = "page"  # names the page that was requested before the form was shown
_FORM = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Cuepoint: sign in</title><link rel="stylesheet" href="/login?style"></head>
<body><main><h1>Cuepoint</h1><p role="status">{message}</p>
<form method="post" action="{action}"><label for="token">Token</label>
<input id="token" type="password" name="token" required autofocus autocomplete="current-password">
<button>Sign in</button></form></main></body>
</html>
"""


def find_objection(request: Request, settings: Settings) -> Response | None:
    """Return the refusal of a request without the token or from another site's page, `None` for all others."""
    if not _is_same_site(request):
        return answer_error(403, "another site's page sent this request; open the service's own page")
    path = request.scope["path"]
    is_open = path == LOGIN or (settings.has_open_health and path in HEALTH)
    if not settings.token or is_open or _has_token(request, settings.token):
        return None
    if request.method == "GET" and "text/html" in request.headers.get("accept", ""):
        return RedirectResponse(_find_login(request.url.query if path == "/" else ""), 303)
    return answer_error(401, "the token is missing or wrong; send Authorization: Bearer TOKEN", {"WWW-Authenticate": "Bearer"})


async def answer_login(request: Request, settings: Settings) -> Response:
    """Show the login form, or exchange the token for a cookie and return to the page that was requested before."""
    wanted = request.query_params.get(_WANTED, "")
    page = f"/?{wanted}" if wanted else "/"  # never the address of another site
    if not settings.token:
        return RedirectResponse(page, 303)
    if request.method != "POST" and "style" in request.query_params:
        return FileResponse(PAGE_DIR / "login.css", media_type="text/css")
    if request.method != "POST":
        return _show_form("This service needs a token.", wanted)
    token = await _read_token(request)
    if not hmac.compare_digest(token, settings.token.encode()):
        return _show_form("The token is wrong.", wanted, status=401)
    response = RedirectResponse(page, 303)
    response.set_cookie(
        _COOKIE,
        _derive_cookie(settings.token),
        max_age=_COOKIE_S,
        secure=request.scope["scheme"] == "https",
        httponly=True,
        samesite="strict",
    )
    return response


def _find_login(wanted: str) -> str:
    """Return the address of the form; `wanted` is the query of the requested page's address."""
    return f"{LOGIN}?{urlencode({_WANTED: wanted})}" if wanted else LOGIN


def _show_form(message: str, wanted: str, *, status: int = 200) -> Response:
    return HTMLResponse(_FORM.format(message=message, action=escape(_find_login(wanted))), status)


async def _read_token(request: Request) -> bytes:
    if not request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        return b""
    async with request.form(max_files=0, max_fields=1, max_part_size=_MAX_FORM_BYTES) as form:
        return str(form.get("token", "")).encode(errors="replace")


def _has_token(request: Request, token: str) -> bool:
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), token.encode()):
        return True
    cookie = request.cookies.get(_COOKIE, "")
    return hmac.compare_digest(cookie.encode(errors="replace"), _derive_cookie(token).encode())


def _derive_cookie(token: str) -> str:
    """Return the value of the cookie, which proves the token and does not reveal it."""
    return hmac.new(token.encode(), b"cuepoint cookie", hashlib.sha256).hexdigest()


def _is_same_site(request: Request) -> bool:
    """Tell whether a request changes nothing, comes from no browser, or comes from the service's own page."""
    origin = request.headers.get("origin")
    if request.method in ("GET", "HEAD", "OPTIONS") or origin is None:
        return True
    return origin.partition("://")[2] == request.headers.get("host")
