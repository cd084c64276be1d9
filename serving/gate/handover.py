"""Hand-over of a running service to its successor, which listens on the same socket.

SIGUSR1: requests that change something get 503, running ones finish, and the state folder is given up; searches go on.
SIGTERM after it: the process stops listening, each answer closes its connection, and the process ends with the last one. The
successor and the launcher hold the socket open, so that no waiting connection is lost.
"""

import logging
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

LIMIT_S = 30.0  # for connections to end; the server closes idle ones after 5 s
_PERIOD_S = 0.1
_CHANGES = frozenset(
    {("POST", "/videos"), ("DELETE", "/videos/{video_id}"), ("POST", "/feedback"), ("POST", "/localize/upload")}
)  # requests that write into the state folder

logger = logging.getLogger("bentoml.cuepoint")


def is_change(method: str, endpoint: str) -> bool:
    """Tell whether a request writes into the state folder."""
    return (method, endpoint) in _CHANGES


class Handover:
    """Counts running changes, and gives up first the state folder, then the connections."""

    def __init__(self, limit_s: float = LIMIT_S) -> None:
        """Start with everything in hand."""
        self._limit_s = limit_s
        self._num_changing = 0
        self._is_giving = threading.Event()
        self._is_leaving = False

    @property
    def is_giving(self) -> bool:
        """Whether changes are refused because a successor takes the state folder."""
        return self._is_giving.is_set()

    @property
    def is_leaving(self) -> bool:
        """Whether each answer must close its connection."""
        return self._is_leaving

    def begin(self) -> None:
        """Count a change before `is_giving` is asked; only the event loop may call this."""
        self._num_changing += 1

    def end(self) -> None:
        """Count a change that has ended or was refused."""
        self._num_changing -= 1

    def install(self, give: Callable[[], None]) -> None:
        """Take over SIGUSR1; `give` closes the state folder. Only the main thread may; others do nothing."""

        def handle(number: int, frame: FrameType | None) -> None:
            if not self._is_giving.is_set():
                self._is_giving.set()
                threading.Thread(target=self._give, args=(give,), name="hand-over", daemon=True).start()

        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGUSR1, handle)

    def leave(self, server: Any) -> None:
        """Stop listening, and wait until every connection of a uvicorn server has ended, or for the limit."""
        self._is_leaving = True
        for listener in server.servers:
            listener.get_loop().call_soon_threadsafe(listener.close)
        deadline_s, num_quiet = time.monotonic() + self._limit_s, 0
        while num_quiet < 5 and time.monotonic() < deadline_s:  # a connection just accepted is not counted at once
            time.sleep(_PERIOD_S)
            num_quiet = 0 if server.server_state.connections else num_quiet + 1

    def _give(self, give: Callable[[], None]) -> None:
        while self._num_changing:
            time.sleep(_PERIOD_S)
        give()
        logger.info("gave the state folder to the next service; searches go on until it is ready")
