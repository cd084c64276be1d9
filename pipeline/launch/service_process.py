"""Process of a service: BentoML's worker on a socket that the launcher holds."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

from pipeline.tracking.registry import ServedVersion

WANTS_STATE, READY = "wants-state", "ready"  # lines of serving/startup/successor.py
_FAILED = "failed: "
_FOLLOWS = Path("src/serving/startup/successor.py")  # in a bento that can start beside another one
_END_LIMIT_S = 90.0  # of a service that was asked to end: 30 s for connections, 30 s for requests
_WORKER = "_bentoml_impl.worker.service"  # private: pyproject.toml bounds the version, and the tests of the launcher run it


class PreparedBento(NamedTuple):
    """An unpacked bento of the registry, and the environment to serve it in."""

    version: ServedVersion
    folder: Path
    environment: dict[str, str]

    @property
    def can_follow(self) -> bool:
        """Whether the bento can start beside another one; bentos of earlier releases cannot."""
        return (self.folder / _FOLLOWS).is_file()


class ServiceProcess:
    """A running service."""

    def __init__(self, bento: PreparedBento, listener: socket.socket, *, is_successor: bool) -> None:
        """Start it; a successor listens only when it can answer."""
        self.bento = bento
        self.has_given = False
        self._news, write = os.pipe()
        os.set_blocking(self._news, False)
        own = {"NEWS_FD": str(write), "LAUNCHER": str(os.getpid()), "SUCCESSOR": str(int(is_successor))}
        tag = f"{bento.folder.parent.name}:{bento.folder.name}"
        command = [sys.executable, "-m", _WORKER, tag, "--service-name", bento.folder.parent.name]
        self._process = subprocess.Popen(
            [*command, "--fd", str(listener.fileno()), "--worker-id", "1"],
            env=bento.environment | {f"CUEPOINT_{name}": value for name, value in own.items()},
            stdin=subprocess.DEVNULL,
            pass_fds=(listener.fileno(), write),
            start_new_session=True,  # Ctrl+C reaches the launcher alone, which ends its services in order
        )
        os.close(write)
        self._text = ""
        self._end_s = float("inf")

    @property
    def exit_code(self) -> int | None:
        """The exit code, None while it runs."""
        return self._process.poll()

    def has_told(self, word: str) -> bool:
        """Tell whether the service has sent a line."""
        self._read()
        return word in self._text.splitlines()

    def find_failure(self) -> str | None:
        """Return why the service cannot answer, None as long as it may."""
        self._read()
        failure = next((line for line in self._text.splitlines() if line.startswith(_FAILED)), None)
        if failure is None and self.exit_code is not None:
            return f"its process ended with {self.exit_code}"
        return failure and failure.removeprefix(_FAILED)

    def give_state(self) -> None:
        """Ask it to give up the state folder and to search on; one that cannot, because it is not ready or too old, ends."""
        self.has_given = True
        if self.has_told(READY):
            self._process.send_signal(signal.SIGUSR1)
        else:
            self.end()

    def end(self) -> None:
        """Ask it to end: to finish what runs, or, after `give_state`, to let its connections end."""
        self._process.terminate()
        self._end_s = min(self._end_s, time.monotonic() + _END_LIMIT_S)

    def has_ended(self) -> bool:
        """Tell whether it has ended; one that was asked too long ago is killed."""
        if self.exit_code is None and time.monotonic() > self._end_s:
            self.kill()
        return self.exit_code is not None

    def kill(self) -> None:
        """End it at once. Its state folder survives that, but its connections do not."""
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        """Close its pipe, after it has ended."""
        os.close(self._news)

    def _read(self) -> None:
        try:
            while data := os.read(self._news, 65536):
                self._text += data.decode(errors="replace")
        except BlockingIOError:  # it has told nothing more yet
            return
