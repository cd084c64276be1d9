"""The traffic log of a service. A thread writes it, so that an answer neither waits for it nor fails with it."""

import logging
import os
import queue
import secrets
import threading
import time
from pathlib import Path

from serving.api.schemas import SearchAnswer, Versions
from serving.startup.settings import TrafficSettings
from serving.traffic.rows import Answered, Endpoint, build_row
from serving.traffic.segments import Segments

FOLDER = "traffic"  # of the state folder
KEY = "hash.key"
MAX_WAITING = 10_000  # answers; further ones are counted as lost
_BATCH = 500
_CLEANING_S = 3600.0

logger = logging.getLogger("bentoml.cuepoint")


class TrafficLog:
    """Log of answers in `<state>/traffic/`. An answer that cannot be logged is counted in `num_lost`."""

    def __init__(self, state_dir: Path, settings: TrafficSettings) -> None:
        """Prepare the log; `start` opens the folder and starts the thread."""
        self._folder, self._settings = state_dir / FOLDER, settings
        self._waiting: queue.Queue[Answered | None] = queue.Queue(MAX_WAITING)
        self._thread = threading.Thread(target=self._run, name="traffic", daemon=True)
        self._segments: Segments | None = None
        self._key = b""
        self._has_warned = False
        self.num_lost = 0

    def start(self) -> None:
        """Start to write. Without room for it in the settings, nothing is logged."""
        if self._settings.max_mb:
            self._thread.start()

    def note(
        self, *shown: SearchAnswer, endpoint: Endpoint, versions: Versions, took_ms: float, is_limited: bool = False
    ) -> None:
        """Hand over answers that were given. It returns at once and raises nothing."""
        if not self._settings.max_mb:
            return
        for answer in shown:
            try:
                self._waiting.put_nowait(Answered(answer, endpoint, is_limited, versions, took_ms, round(time.time(), 3)))
            except queue.Full:
                self._lose(1, "more answers wait than are kept")

    def stop(self) -> None:
        """Write what waits, and stop."""
        if self._thread.is_alive():
            try:
                self._waiting.put(None, timeout=5)
            except queue.Full:
                return
            self._thread.join(timeout=30)

    def _run(self) -> None:
        is_open, cleaned_s = True, time.monotonic()
        while is_open:
            batch = self._take()
            is_open = None not in batch
            self._write([answered for answered in batch if answered is not None])
            if time.monotonic() - cleaned_s > _CLEANING_S:
                self._clean()
                cleaned_s = time.monotonic()
        if self._segments:
            self._segments.close()

    def _take(self) -> list[Answered | None]:
        """Wait for an answer, and return it with those that wait behind it; without any for an hour, return nothing."""
        batch: list[Answered | None] = []
        try:
            batch.append(self._waiting.get(timeout=_CLEANING_S))
            while len(batch) < _BATCH and batch[-1] is not None:
                batch.append(self._waiting.get_nowait())
        except queue.Empty:
            pass
        return batch

    def _write(self, batch: list[Answered]) -> None:
        """Write rows; whatever goes wrong costs rows of the log and nothing else."""
        if not batch:
            return
        try:
            segments = self._open()
            rows = [build_row(answered, text=self._settings.text, key=self._key) for answered in batch]
            segments.write([row.model_dump_json(exclude_none=True).encode() + b"\n" for row in rows])
        except (OSError, ValueError) as error:
            self._lose(len(batch), str(error))

    def _open(self) -> Segments:
        if self._segments is None:
            settings = self._settings
            self._segments = Segments(self._folder, max_bytes=settings.max_mb * 1_000_000, max_days=settings.max_days)
            self._key = read_key(self._folder / KEY) if settings.text == "hashed" else b""
        return self._segments

    def _clean(self) -> None:
        try:
            self._open().clean()
        except OSError as error:
            self._lose(0, str(error))

    def _lose(self, number: int, reason: str) -> None:
        self.num_lost += number
        if not self._has_warned:
            logger.warning("the traffic log loses rows: %s; answers are not affected", reason)
        self._has_warned = True


def read_key(path: Path) -> bytes:
    """Return the key of hashed sentences; a new one is made once and readable by its owner alone.

    Raises:
        OSError: when it cannot be read or written.
    """
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_bytes()
    with os.fdopen(handle, "wb") as file:
        file.write(secrets.token_bytes(32))
    return path.read_bytes()
