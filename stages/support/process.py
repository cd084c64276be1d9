"""Process care: one writer per output, and no orphan when the parent dies."""

import ctypes
import fcntl
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_PR_SET_PDEATHSIG = 1


class AlreadyRunningError(RuntimeError):
    """Another process holds the lock."""


def die_with_parent() -> None:
    """Ask the kernel (Linux) to end this process when its parent dies: `dvc repro` leaves its children running."""
    if not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


@contextmanager
def hold_lock(path: Path, *, what: str) -> Iterator[None]:
    """Hold an exclusive lock on `path` until the block ends; the kernel frees it when the process dies.

    Raises:
        AlreadyRunningError: when another process holds it, naming its process id.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            owner = os.read(handle, 32).decode().strip() or "unknown"
            raise AlreadyRunningError(f"{what} is already running in process {owner}; wait for it or end it") from error
        os.ftruncate(handle, 0)
        os.write(handle, str(os.getpid()).encode())
        yield
    finally:
        os.close(handle)
