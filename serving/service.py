"""The search service: BentoML around the HTTP application. It holds no retrieval logic.

Start it on loopback: bentoml serve serving.service:CuepointService --host 127.0.0.1 --port 3000
"""

import logging
import os
import threading

import bentoml

from serving.gate.gate import Controls, Gate
from serving.startup.late_app import LateApp
from serving.startup.orphan import end_with_parent
from serving.startup.settings import Settings, find_settings
from serving.startup.successor import FAILED, READY, tell, wait_until_loaded

logger = logging.getLogger("bentoml.cuepoint")
controls, application = Controls(), LateApp()


@bentoml.asgi_app(application, path="/", name="api")
@bentoml.service(
    name="cuepoint",
    metrics={"enabled": False},  # BentoML's metrics grow with every path that a client invents; /metrics gives the service's own
    logging={"access": {"enabled": False}},  # the gate logs a line per request, without text that the client chose
)
class CuepointService:
    """Finds the moments of a video collection that a sentence describes."""

    def __init__(self) -> None:
        """Start to verify and load the collection. Until that is done, the service is alive but not ready."""
        end_with_parent()
        controls.drain.install()
        self._state = application.build(controls)
        controls.handover.install(self._give_state)
        try:
            settings = find_settings()
        except ValueError as error:
            self._fail(error)
        else:
            controls.configure(settings)
            threading.Thread(target=self._load, args=(settings,), name="load", daemon=True).start()
        wait_until_loaded(self._state, controls.drain)

    def __is_ready__(self) -> bool:  # noqa: PLW3201 # BentoML's name
        """Tell whether every file was verified and loaded, and the service accepts new requests."""
        return self._state.loaded is not None and not controls.drain.is_ending

    def __is_alive__(self) -> bool:  # noqa: PLW3201 # BentoML's name
        """Tell whether the process is worth keeping, which it is not if its files were refused."""
        return not self._state.failure

    @bentoml.on_shutdown  # type: ignore[untyped-decorator]
    def close(self) -> None:
        """Stop, and leave unfinished uploads for the next start."""
        if self._state.loaded:
            self._state.loaded.close()

    def _give_state(self) -> None:
        if self._state.loaded:
            self._state.loaded.give_state()

    def _load(self, settings: Settings) -> None:
        from serving.startup.loading import load_service  # noqa: PLC0415 # BentoML's supervisor loads nothing
        from serving.startup.locations import find_locations  # noqa: PLC0415

        try:
            loaded = load_service(find_locations(), settings, controls.metrics)
        except (ValueError, OSError) as error:
            self._fail(error)
            return
        except Exception as error:  # a service that can never answer must not look as if it were still loading
            logger.exception("the service could not be loaded")
            self._fail(error)
            return
        controls.metrics.track_recall(lambda: loaded.recall.recall, lambda: loaded.recall.num_checks)
        controls.metrics.track_traffic(lambda: loaded.traffic.num_lost)
        self._state.loaded = loaded
        address = os.environ.get("CUEPOINT_ADDRESS")  # from the launcher: this process knows only a socket
        logger.info("ready%s", f": open {address}" if address else "")
        tell(READY)

    def _fail(self, error: Exception) -> None:
        self._state.failure = str(error)
        logger.error("the service cannot answer: %s", error)
        tell(f"{FAILED}: {error}")


CuepointService.add_asgi_middleware(Gate, controls=controls)  # type: ignore[attr-defined] # the decorator adds it
