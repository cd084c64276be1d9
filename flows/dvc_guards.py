"""DVC where a disk fills up: it ends, with an error, and says what did not fit where.

DVC 3.67 by itself logs the files that it cannot take into its cache and goes on as if it had them; where its state database
(SQLite, by way of diskcache) has no room it tries again for ever; and some of its errors name no file.
"""

import contextlib
import errno
import logging
import os
import resource
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dvc.output
import dvc_data.hashfile.cache
import dvc_data.hashfile.state
from dvc.cli import main as dvc_main
from dvc.exceptions import DvcException
from dvc_data.hashfile.transfer import transfer

from corpus.files import NoRoomError, describe_room, measure_free_bytes
from flows.dvc_repair import keep_lock, remove_damaged_databases, repair
from stages.support.disk_room import describe_no_room, iter_chain

_NO_ROOM_WORDS = ("disk I/O error", "database or disk is full", "unable to open database file")
Execute = Callable[..., sqlite3.Cursor]


def run_guarded_dvc(arguments: list[str], root: Path) -> int:
    """Run a DVC command in a checkout and return its exit code; what earlier commands left damaged is made good first.

    Raises:
        OSError: when there is no room to begin.
    """
    _repair_and_tell(root)
    keep_lock(root)
    _install_guards()
    notes = _NoRoomNotes()
    for name in ("dvc", "dvc_data", "dvc_objects"):
        logging.getLogger(name).addHandler(notes)
    code = int(dvc_main(arguments))
    _repair_and_tell(root)
    with contextlib.suppress(NoRoomError):  # the next command tries again
        keep_lock(root)
    if code and notes.message:
        print(f"dvc: error: {notes.message}", file=sys.stderr)
    return code


def _repair_and_tell(root: Path) -> None:
    for done in repair(root):
        print(f"dvc: {done}", file=sys.stderr)


class _NoRoomNotes(logging.Handler):
    """Keeps what the last logged error says of a full disk; empty where DVC has shown all of it."""

    message: str | None = None

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        message = None if error is None else describe_no_room(error)
        if error is not None and message is not None:
            self.message = "" if any(message == str(one) for one in iter_chain(error)) else message


def _install_guards() -> None:
    """Replace the three places of DVC that go on, or go on for ever, without room."""
    dvc.output.otransfer = _transfer_all
    dvc_data.hashfile.cache.Cache._sql = property(_get_bounded_execute)
    dvc_data.hashfile.state.State = _SoundState


def _transfer_all(source: Any, target: Any, *arguments: Any, **options: Any) -> Any:
    """Transfer files to a cache, all of them or fail."""
    result = transfer(source, target, *arguments, **options)
    if not result.failed:
        return result
    objects = [source.get(one.value) for one in result.failed]
    num_bytes = sum(one.fs.size(one.path) for one in objects)
    folder = Path(target.path)
    what = f"{len(objects)} files were not taken into {folder}"
    room = f"{num_bytes} bytes are needed, {describe_room(folder)}"
    if measure_free_bytes(folder) < num_bytes:
        raise NoRoomError(errno.ENOSPC, f"{what}: {os.strerror(errno.ENOSPC)}; {room}; free some and run it again")
    raise DvcException(f"{what}, see above; {room}")


def _get_bounded_execute(cache: Any) -> Execute:
    """Return the database's `execute`, which raises what diskcache does not try again when there is no room."""
    execute: Execute = cache._con.execute

    def run(*arguments: Any, **options: Any) -> sqlite3.Cursor:
        try:
            return execute(*arguments, **options)
        except sqlite3.OperationalError as error:
            if not any(words in str(error) for words in _NO_ROOM_WORDS):
                raise
            path = Path(cache.directory) / "cache.db"
            number = _guess_reason(path)
            raise OSError(number, f"{os.strerror(number)} ({error})", str(path)) from error

    return run


def _guess_reason(path: Path) -> int:
    """Return the number of the system's error that SQLite keeps to itself."""
    if measure_free_bytes(path.parent) == 0:
        return errno.ENOSPC
    return errno.EIO if resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY else errno.EFBIG


class _SoundState(dvc_data.hashfile.state.State):  # type: ignore[misc]
    """DVC's memory of hashes; databases that a full disk or a crash left damaged are made anew."""

    def __init__(self, root_dir: str | None = None, tmp_dir: str | None = None, ignore: Any = None) -> None:
        if tmp_dir:
            remove_damaged_databases(Path(tmp_dir))
        super().__init__(root_dir, tmp_dir, ignore)
