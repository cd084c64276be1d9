"""Guards of DVC on a full disk: DVC ends with an error that names the file and the missing room.

DVC 3.67 only logs the files that it cannot store in its cache, and continues as if it had stored them. Its state database
(SQLite, through diskcache) retries forever without room, and some of its errors name no file. DVC has no setting for any of
this, so three of its private names are replaced. pyproject.toml bounds the versions, and tests fail when a name moves.
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
from pipeline.disk.disk_room import describe_no_room, iter_chain
from pipeline.dvc.repair import keep_lock, remove_damaged_databases, repair

_NO_ROOM_WORDS = ("disk I/O error", "database or disk is full", "unable to open database file")
Execute = Callable[..., sqlite3.Cursor]


def run_guarded_dvc(arguments: list[str], root: Path) -> int:
    """Repair the damage of earlier commands, run a DVC command in a checkout and return its exit code.

    Raises:
        OSError: when there is no room to start.
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
    """Keeps the explanation of a full disk from the last logged error; empty if DVC has printed it."""

    message: str | None = None

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        message = None if error is None else describe_no_room(error)
        if error is not None and message is not None:
            self.message = "" if any(message == str(one) for one in iter_chain(error)) else message


def _install_guards() -> None:
    """Replace the three functions of DVC that continue, or retry forever, without room."""
    dvc.output.otransfer = _transfer_all
    dvc_data.hashfile.cache.Cache._sql = property(_get_bounded_execute)
    dvc_data.hashfile.state.State = _SoundState


def _transfer_all(source: Any, target: Any, *arguments: Any, **options: Any) -> Any:
    """Transfer files to a cache; fail if any file is not transferred."""
    result = transfer(source, target, *arguments, **options)
    if not result.failed:
        return result
    objects = [source.get(one.value) for one in result.failed]
    num_bytes = sum(one.fs.size(one.path) for one in objects)
    folder = Path(target.path)
    what = f"{len(objects)} files were not stored in {folder}"
    room = f"{num_bytes} bytes are needed, {describe_room(folder)}"
    if measure_free_bytes(folder) < num_bytes:
        raise NoRoomError(errno.ENOSPC, f"{what}: {os.strerror(errno.ENOSPC)}; {room}; free some and run it again")
    raise DvcException(f"{what}, see above; {room}")


def _get_bounded_execute(cache: Any) -> Execute:
    """Return the database's `execute`; without room, it raises an error that diskcache does not retry."""
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
    """Return the error number of the system, which SQLite does not report."""
    if measure_free_bytes(path.parent) == 0:
        return errno.ENOSPC
    return errno.EIO if resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY else errno.EFBIG


class _SoundState(dvc_data.hashfile.state.State):  # type: ignore[misc]
    """DVC's state of hashes; recreates databases that a full disk or a crash has damaged."""

    def __init__(self, root_dir: str | None = None, tmp_dir: str | None = None, ignore: Any = None) -> None:
        if tmp_dir:
            remove_damaged_databases(Path(tmp_dir))
        super().__init__(root_dir, tmp_dir, ignore)
