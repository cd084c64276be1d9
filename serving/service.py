"""The search service: BentoML around the HTTP application, and nothing of retrieval in it.

Start it on loopback: bentoml serve serving.service:CuepointService --host 127.0.0.1 --port 3000
"""

import logging
import threading

import bentoml

from serving.api.app import build_app
from serving.api.gate import Controls, Gate
from serving.api.loading import load_service
from serving.api.service_state import ServiceState
from serving.api.settings import Settings, find_settings
from serving.orphan import end_with_parent
from serving.places import find_places

logger = logging.getLogger("bentoml.cuepoint")
state = ServiceState(Controls())


@bentoml.asgi_app(build_app(state), path="/", name="api")
@bentoml.service(
    name="cuepoint",
    metrics={"enabled": False},  # BentoML's grow with every path that a client makes up; /metrics gives the service's own
    logging={"access": {"enabled": False}},  # the gate writes a line a request, without what the client made up
)
class CuepointService:
    """Finds the moments of a video collection that a sentence describes."""

    def __init__(self) -> None:
        """Start to verify and load the collection; until that is done the service is alive, but not ready."""
        end_with_parent()
        state.controls.drain.install()
        try:
            settings = find_settings()
        except ValueError as error:
            self._fail(error)
            return
        state.controls.configure(settings)
        threading.Thread(target=self._load, args=(settings,), name="load", daemon=True).start()

    def __is_ready__(self) -> bool:  # noqa: PLW3201 # BentoML's name
        """Tell whether every file was verified and loaded, and new requests are taken."""
        return state.loaded is not None and not state.controls.drain.is_ending

    def __is_alive__(self) -> bool:  # noqa: PLW3201 # BentoML's name
        """Tell whether the process is worth keeping: it is not when its files were refused."""
        return not state.failure

    @bentoml.on_shutdown  # type: ignore[untyped-decorator]
    def close(self) -> None:
        """Leave work on uploads for the next start."""
        if state.loaded:
            state.loaded.close()

    def _load(self, settings: Settings) -> None:
        try:
            loaded = load_service(find_places(), settings, state.controls.metrics)
        except (ValueError, OSError) as error:
            self._fail(error)
            return
        except Exception as error:  # a service that can never answer must not look as if it were about to
            logger.exception("the service could not be loaded")
            self._fail(error)
            return
        state.controls.metrics.track_recall(lambda: loaded.recall.recall, lambda: loaded.recall.num_checks)
        state.loaded = loaded

    def _fail(self, error: Exception) -> None:
        state.failure = str(error)
        logger.error("the service cannot answer: %s", error)


CuepointService.add_asgi_middleware(Gate, controls=state.controls)  # type: ignore[attr-defined] # the decorator gives it
