"""Graceful shutdown: running requests finish, new ones are refused, then the process ends.

A service with a successor refuses none: `handover`.
"""

import os
import signal
import threading
import time
from types import FrameType
from typing import Any

from serving.gate.handover import Handover

GRACE_S = 30.0
_PERIOD_S = 0.05


class Drain:
    """Counts requests, and delays the signal that ends the process until none runs or the grace period is over."""

    def __init__(self, grace_s: float = GRACE_S, handover: Handover | None = None) -> None:
        """Start with no running requests."""
        self.handover = handover or Handover()
        self._grace_s = grace_s
        self._num_running = 0
        self._is_called = threading.Event()
        self._is_ending = threading.Event()
        self._is_drained = threading.Event()
        self._previous: Any = signal.SIG_DFL

    @property
    def is_called(self) -> bool:
        """Whether the process received SIGTERM."""
        return self._is_called.is_set()

    @property
    def is_ending(self) -> bool:
        """Whether new requests are refused because the process ends."""
        return self._is_ending.is_set()

    @property
    def num_running(self) -> int:
        """The number of running requests."""
        return self._num_running

    def begin(self) -> None:
        """Count a request that begins; only the event loop may call this."""
        self._num_running += 1

    def end(self) -> None:
        """Count a request that has ended."""
        self._num_running -= 1

    def install(self) -> None:
        """Take over SIGTERM from the server. Only the main thread may; others do nothing."""
        if threading.current_thread() is threading.main_thread():
            self._previous = signal.signal(signal.SIGTERM, self._handle)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._is_drained.is_set():
            if callable(self._previous):
                self._previous(number, frame)
            else:
                signal.signal(number, signal.SIG_DFL)
                os.kill(os.getpid(), number)
        elif not self._is_called.is_set():
            self._is_called.set()
            if not self.handover.is_giving:
                self._is_ending.set()
            threading.Thread(target=self._wait, name="drain", daemon=True).start()

    def _wait(self) -> None:
        server = getattr(self._previous, "__self__", None)  # uvicorn's, whose method handled SIGTERM
        if self.handover.is_giving and server is not None:
            self.handover.leave(server)
        self._is_ending.set()
        deadline_s = time.monotonic() + self._grace_s
        while self._num_running and time.monotonic() < deadline_s:
            time.sleep(_PERIOD_S)
        self._is_drained.set()
        os.kill(os.getpid(), signal.SIGTERM)
