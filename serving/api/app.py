"""The HTTP application: every endpoint, one error format, and the page."""

from fastapi import FastAPI

from serving.api import about, search, videos
from serving.api.errors import add_error_handlers
from serving.api.openapi import install_openapi
from serving.api.pages import answer_nowhere, show_index, show_page_file
from serving.startup.service_state import ServiceState

_METHODS = ["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"]


def build_app(state: ServiceState) -> FastAPI:
    """Return the application; it answers 503 until `state.loaded` is set."""
    app = FastAPI(
        title="Cuepoint",
        version="1",
        description="A sentence goes in, (video, start, end) comes out.",
        docs_url=None,  # FastAPI's documentation pages load scripts from other hosts
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.service = state
    routers = (search.router, search.upload_router, videos.router, about.router)
    app.state.routes = [route for router in routers for route in router.routes]
    for router in routers:
        app.include_router(router)
    app.add_api_route("/", show_index, methods=["GET"], include_in_schema=False)
    app.add_api_route("/page/{name}", show_page_file, methods=["GET"], include_in_schema=False)
    app.add_route("/{path:path}", answer_nowhere, methods=_METHODS, include_in_schema=False)
    add_error_handlers(app)
    install_openapi(app)
    return app
