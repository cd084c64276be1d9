"""Names and costs of the endpoints: a bounded set, whatever paths clients invent."""

from typing import Literal

Kind = Literal["search", "upload", "media", "other"]

HEALTH = frozenset({"/healthz", "/livez", "/readyz"})
LOGIN = "/login"
_EXACT = HEALTH | {
    "/",
    "/examples",
    "/feedback",
    "/localize",
    "/localize/upload",
    LOGIN,
    "/metrics",
    "/openapi.json",
    "/search",
    "/search/batch",
    "/version",
    "/videos",
}
_WITH_ID = {
    "/media/": "/media/{video_id}",
    "/page/": "/page/{name}",
    "/thumbnails/": "/thumbnails/{video_id}",
    "/videos/": "/videos/{video_id}",
}


def name_endpoint(path: str) -> str:
    """Return the endpoint of a path without ids, "other" for a path that the service does not know."""
    if path in _EXACT:
        return path
    return next((name for prefix, name in _WITH_ID.items() if path.startswith(prefix)), "other")


def find_kind(method: str, endpoint: str) -> Kind:
    """Return the cost of a request: a computation, an upload, a media file that is sent at viewing speed, or little."""
    if endpoint in ("/search", "/search/batch", "/localize"):
        return "search"
    if method == "POST" and endpoint in ("/videos", "/localize/upload"):
        return "upload"
    return "media" if endpoint.startswith("/media/") else "other"


def is_rated(method: str, endpoint: str) -> bool:
    """Tell whether a request counts towards the rate limit, as all do that compute or change something."""
    return method not in ("GET", "HEAD", "OPTIONS") and endpoint not in HEALTH
