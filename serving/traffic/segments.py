"""Segments of the traffic log: JSONL files of bounded size. The oldest ones go when the log is too large or too old."""

import contextlib
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from pydantic import ValidationError

from serving.traffic.rows import TrafficRow

SUFFIX = ".jsonl"
NUM_SEGMENTS = 8  # of a full log, so that a deletion takes an eighth of it
_DAY_S = 86400.0


class Segments:
    """Writer of a folder of segments; one process at a time may use it.

    A segment ends when it holds an eighth of `max_bytes`, or after a day. Whole segments are deleted: the oldest ones while
    all together exceed `max_bytes`, and those whose last row is older than `max_days`.
    """

    def __init__(self, folder: Path, *, max_bytes: int, max_days: int) -> None:
        """Open or create the folder, and delete what is too old.

        Raises:
            OSError: when it cannot be written.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._max_bytes, self._max_days = folder, max_bytes, max_days
        self._file: IO[bytes] | None = None
        self._started_s = 0.0
        self.clean()

    def write(self, lines: list[bytes]) -> None:
        """Append lines and hand them to the operating system. A failed write leaves no part of a line for readers.

        Raises:
            OSError: when they cannot be written; the segment is then closed, and the next write starts another one.
        """
        try:
            for line in lines:
                self._choose_file(len(line)).write(line)
            if self._file:
                self._file.flush()
        except OSError:
            self.close()
            raise

    def clean(self) -> None:
        """Delete segments that are too old, and the oldest ones while the log is too large."""
        paths = list_segments(self._folder)
        sizes = {path: path.stat() for path in paths}
        oldest_s, total = time.time() - self._max_days * _DAY_S, sum(size.st_size for size in sizes.values())
        limit = self._max_bytes - self._max_bytes // NUM_SEGMENTS  # leaves room for the segment that is written
        for path in paths:
            is_current = self._file is not None and path == Path(self._file.name)
            if not is_current and (sizes[path].st_mtime < oldest_s or total > limit):
                total -= sizes[path].st_size
                path.unlink(missing_ok=True)

    def close(self) -> None:
        """Close the current segment."""
        if self._file:
            with contextlib.suppress(OSError):
                self._file.close()
        self._file = None

    def _choose_file(self, num_bytes: int) -> IO[bytes]:
        """Return the segment for the next line, a new one if the current one is full or a day old."""
        if self._file and (
            self._file.tell() + num_bytes > self._max_bytes // NUM_SEGMENTS or time.time() - self._started_s > _DAY_S
        ):
            self.close()
        if self._file is None:
            self._started_s = time.time()
            name = f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime(self._started_s))}-{time.time_ns() % 10**9:09d}"
            self._file = (self._folder / f"{name}-{secrets.token_hex(2)}{SUFFIX}").open("xb")
            self.clean()
        return self._file


def list_segments(folder: Path) -> list[Path]:
    """Return the segments of a folder, oldest first; none if there is no folder."""
    return sorted(folder.glob(f"*{SUFFIX}"))


def read_rows(folder: Path, *, since_s: float = 0.0) -> Iterator[TrafficRow]:
    """Yield the rows of a log from `since_s` on, oldest segment first. A last line without its end is left out.

    Raises:
        ValueError: naming file and line of a row that this version does not read.
    """
    for path in list_segments(folder):
        try:
            if path.stat().st_mtime < since_s:
                continue
            content = path.read_bytes()
        except FileNotFoundError:  # the service deleted it meanwhile
            continue
        for number, line in enumerate(content.split(b"\n")[:-1], start=1):
            row = _parse(line, path, number)
            if row.time_s >= since_s:
                yield row


def _parse(line: bytes, path: Path, number: int) -> TrafficRow:
    try:
        return TrafficRow.model_validate_json(line)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the line"
        raise ValueError(
            f"{path} line {number} is not a row of this version: {where}: {first['msg']}; move the file away to read the others"
        ) from error
