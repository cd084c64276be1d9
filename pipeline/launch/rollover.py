"""Launcher of `cuepoint serve`: holds the port, runs the champion's service, and replaces it when the champion moves.

The new service starts beside the old one on the same socket. When it has loaded its models, the old one gives up the state
folder and searches on. When the new one is ready, the old one stops listening and ends with its last connection.
"""

import queue
import signal
import socket
import threading
import time
from types import FrameType

from pipeline.launch.champion_watch import record_refusal
from pipeline.launch.service_process import READY, WANTS_STATE, PreparedBento, ServiceProcess

_TICK_S = 0.1
_RESTART_S = 1.0
_BACKLOG = 2048


class Rollover:
    """A running service and its replacement."""

    def __init__(self, port: int, news: "queue.Queue[PreparedBento]", *, ready_limit_s: float) -> None:
        """Open the port on loopback; a new champion of `news` must be ready within the limit."""
        self._listener = socket.create_server(("127.0.0.1", port), backlog=_BACKLOG)
        self._news, self._limit_s = news, ready_limit_s
        self._leaving: list[ServiceProcess] = []
        self._ending = threading.Event()

    def run(self, first: PreparedBento) -> None:
        """Serve until SIGTERM or SIGINT, then let running requests finish."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._handle)
        self._current = self._start(first)
        try:
            while not self._ending.is_set():
                self._step()
        finally:
            self._end()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self._ending.set()

    def _start(self, bento: PreparedBento, *, is_successor: bool = False) -> ServiceProcess:
        return ServiceProcess(bento, self._listener, is_successor=is_successor)

    def _step(self) -> None:
        self._leaving = [service for service in self._leaving if not _is_gone(service)]
        if self._current.exit_code is not None:
            _tell(f"the service ended with {self._current.exit_code}; starting it again")
            self._current.close()
            self._ending.wait(_RESTART_S)
            self._current = self._start(self._current.bento)
        elif self._current.has_given:  # its successor failed
            self._recover()
        try:
            bento = self._news.get(timeout=_TICK_S)
        except queue.Empty:
            return
        if bento.version != self._current.bento.version and not self._ending.is_set():
            self._replace(bento)

    def _replace(self, bento: PreparedBento) -> None:
        version, start_s = bento.version.version, time.monotonic()
        if not bento.can_follow:
            _tell(f"version {version} is of an earlier release: stopping the service, then starting that version")
            self._current.end()
            self._leaving.append(self._current)
            self._current = self._start(bento)
            return
        _tell(f"starting version {version} beside version {self._current.bento.version.version}")
        reason = self._try(bento)
        if reason is None:
            _tell(f"version {version} answers, {time.monotonic() - start_s:.0f} s after its start; the old one ends")
        elif not self._ending.is_set():
            _tell(f"version {version} is refused, version {self._current.bento.version.version} stays: {reason}")
            record_refusal(bento.version.version, reason)

    def _recover(self) -> None:
        """Start the current version again beside its process, which still searches but gave up the state folder."""
        version = self._current.bento.version.version
        reason = self._try(self._current.bento)
        _tell(f"version {version} takes changes again" if reason is None else f"version {version} takes no changes: {reason}")
        if reason is not None:
            self._ending.wait(_RESTART_S)

    def _try(self, bento: PreparedBento) -> str | None:
        """Start a successor and make it the current service; return the reason if that fails."""
        successor = self._start(bento, is_successor=True)
        reason = self._await(successor, WANTS_STATE)
        if reason is None:
            if not self._current.has_given:
                self._current.give_state()
            reason = self._await(successor, READY)
        if reason is not None:
            successor.kill()
            successor.close()
            return reason
        self._current.end()
        self._leaving.append(self._current)
        self._current = successor
        return None

    def _await(self, service: ServiceProcess, word: str) -> str | None:
        """Wait for a line of a service; return the reason if it does not come."""
        deadline_s = time.monotonic() + self._limit_s
        while not service.has_told(word):
            if failure := service.find_failure():
                return failure
            if self._ending.is_set():
                return "the launcher ends"
            if time.monotonic() > deadline_s:
                return f"it was not ready within {self._limit_s:.0f} s"
            time.sleep(_TICK_S)
        return None

    def _end(self) -> None:
        """End all services; what they were doing finishes."""
        self._listener.close()
        services = [*self._leaving, self._current]
        for service in services:
            service.end()
        while not all(service.has_ended() for service in services):
            time.sleep(_TICK_S)


def _is_gone(service: ServiceProcess) -> bool:
    if not service.has_ended():
        return False
    service.close()
    return True


def _tell(step: str) -> None:
    print(step, flush=True)
