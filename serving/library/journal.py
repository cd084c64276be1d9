"""Append-only file of JSON lines, each on disk before it is acknowledged."""

import json
import os
import threading
from pathlib import Path
from typing import Any

from corpus.files import read_jsonl

_MAX_LINE_BYTES = 64 * 1024


class Journal:
    """Appends rows and reads them back. A line that a killed process left unfinished is removed."""

    def __init__(self, path: Path) -> None:
        """Open or create the file.

        Raises:
            OSError: when it cannot be written.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._lock = threading.Lock()
        self._file = path.open("ab")
        self._file.truncate(_find_end(path))
        sync_folder(path.parent)

    def append(self, row: dict[str, Any]) -> None:
        """Write one row; when this returns, it survives a crash.

        Raises:
            ValueError: when the row is longer than the limit of a line.
            OSError: when it cannot be written; the file is then unchanged.
        """
        line = json.dumps(row, ensure_ascii=True).encode() + b"\n"
        if len(line) > _MAX_LINE_BYTES:
            raise ValueError(f"a row of {len(line)} bytes is longer than the limit of {_MAX_LINE_BYTES} bytes")
        with self._lock:
            end = self._file.seek(0, os.SEEK_END)
            try:
                self._file.write(line)
                self._file.flush()
                os.fsync(self._file.fileno())
            except OSError:
                self._file.truncate(end)
                raise

    def read(self) -> list[dict[str, Any]]:
        """Return all rows, oldest first.

        Raises:
            ValueError: naming file and line, when a line is damaged.
        """
        return [row for _, row in read_jsonl(self._path)]

    def measure_bytes(self) -> int:
        """Return the size of the file."""
        return self._path.stat().st_size

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def sync_folder(folder: Path) -> None:
    """Sync the names in a folder to disk, so that a file renamed into it survives a crash."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _find_end(path: Path) -> int:
    """Return the end of the last complete line."""
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.seek(max(0, size - _MAX_LINE_BYTES))
        return start + file.read().rfind(b"\n") + 1
