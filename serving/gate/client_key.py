"""Client key, which keeps each client on one variant: the client's header, the page's cookie, or else the sentence."""

import secrets

from starlette.requests import Request
from starlette.responses import Response

HEADER = "x-cuepoint-client"
_COOKIE = "cuepoint_client"
_COOKIE_S = 30 * 24 * 3600


def find_client_key(request: Request, query: str) -> str:
    """Return the key that decides which variant answers a search."""
    return request.headers.get(HEADER) or request.cookies.get(_COOKIE) or query


def give_client_key(request: Request, response: Response) -> None:
    """Give a new browser a cookie with a random key, which only chooses its variant."""
    if _COOKIE not in request.cookies:
        is_secure = request.scope["scheme"] == "https"
        name = secrets.token_hex(8)
        response.set_cookie(_COOKIE, name, max_age=_COOKIE_S, secure=is_secure, httponly=True, samesite="strict")
