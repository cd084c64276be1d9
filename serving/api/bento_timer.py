"""Taking BentoML's timer out of the way.

`TimeoutMiddleware` of BentoML 1.4 starts a timer for every request and never cancels it: each answered request stays in
memory until its timer has run out. A limit that lets a large file arrive would keep some kilobytes of every request for as
long. The service has limits of its own: on the time of a body (`body`) and of an answer (`search`).
"""

from typing import Any

from bentoml._internal.server.http.traffic import TimeoutMiddleware


def drop_timer(app: Any) -> None:
    """Take the timer out of the layers of an application that has started, if it has one."""
    layer = app.middleware_stack
    while layer is not None:
        inner = getattr(layer, "app", None)
        if isinstance(inner, TimeoutMiddleware):
            layer.app = inner = inner.app
        layer = inner
