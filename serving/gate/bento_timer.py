"""Removal of BentoML's request timer.

`TimeoutMiddleware` of BentoML 1.4 starts a timer for every request and never cancels it, so each answered request stays in
memory until its timer expires. With a limit that lets large files arrive, some kilobytes of every request would stay that
long. The service itself limits the time of a body (`body`) and of an answer (`search`). The class is private to BentoML:
pyproject.toml bounds the version, and a test fails if the class moves.
"""

from typing import Any

from bentoml._internal.server.http.traffic import TimeoutMiddleware


def drop_timer(app: Any) -> None:
    """Remove the timer from the middleware of a started application, if it has one."""
    layer = app.middleware_stack
    while layer is not None:
        inner = getattr(layer, "app", None)
        if isinstance(inner, TimeoutMiddleware):
            layer.app = inner = inner.app
        layer = inner
