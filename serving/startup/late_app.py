"""The HTTP application of the process that answers; BentoML's supervisor imports the service without loading it."""

from typing import TYPE_CHECKING

from serving.gate.body import App, Message, Receive, Send

if TYPE_CHECKING:
    from serving.gate.gate import Controls
    from serving.startup.service_state import ServiceState


class LateApp:
    """An ASGI application that is built only in a process that answers, because it is half the cost of the import."""

    def __init__(self) -> None:
        """Prepare an application that is not built yet."""
        self._app: App | None = None

    def build(self, controls: "Controls") -> "ServiceState":
        """Build the application and return its state."""
        from serving.api.app import build_app  # noqa: PLC0415
        from serving.startup.service_state import ServiceState  # noqa: PLC0415

        state = ServiceState(controls)
        self._app = build_app(state)
        return state

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer a request."""
        assert self._app is not None, "build() comes before the first request"
        await self._app(scope, receive, send)
