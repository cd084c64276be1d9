"""Process care: one writer per output, and no orphan after the death of a parent."""

import ctypes
import fcntl
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from corpus.files import NO_ROOM, explain_no_room

_PR_SET_PDEATHSIG = 1
_SHELLS = frozenset({"sh", "bash", "dash", "zsh", "fish", "ksh"})
_GRACE_S = 3.0
_POLL_S = 0.2


class AlreadyRunningError(RuntimeError):
    """Another process holds the lock."""


def die_with_parent() -> None:
    """End this process, and every worker that it forks from now on, when its parent dies (Linux).

    `kill -9` of `dvc` leaves its stage running, and the next `dvc repro` would start a second writer on the same outputs.
    The process receives SIGTERM first, so that a training can close its run, and SIGKILL three seconds later.
    """
    if not sys.platform.startswith("linux"):
        return
    _end_by_signal(signal.SIGTERM)
    os.register_at_fork(after_in_child=lambda: _end_by_signal(signal.SIGKILL))
    threading.Thread(target=_watch, args=(_open_ancestors(),), name="parent-watch", daemon=True).start()


@contextmanager
def hold_lock(path: Path, *, what: str, wait_s: float = 0.0) -> Iterator[None]:
    """Hold an exclusive lock on `path` until the block ends; the kernel frees it when the process dies.

    The call waits `wait_s` seconds for a process of the same folder. It waits without limit for a process of another
    folder, such as a queued experiment on the same machine.

    Raises:
        AlreadyRunningError: naming the process id, when a process of the same folder still holds the lock.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC)
    try:
        _acquire(handle, what=what, wait_s=wait_s)
        _sign(handle, path)
        yield
    finally:
        os.close(handle)


def _sign(handle: int, path: Path) -> None:
    """Write the owner of the lock into its file."""
    owner = f"{os.getpid()} {Path.cwd()}".encode()
    try:
        os.ftruncate(handle, 0)
        os.pwrite(handle, owner, 0)
    except OSError as error:
        if error.errno in NO_ROOM:
            raise explain_no_room(error, path, f"{len(owner)} bytes are needed") from error
        raise


def _acquire(handle: int, *, what: str, wait_s: float) -> None:
    deadline = time.monotonic() + wait_s
    announced = False
    while True:
        try:
            return fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            owner, _, folder = os.pread(handle, 4096, 0).decode().partition(" ")
            elsewhere = folder not in ("", str(Path.cwd()))
            if not elsewhere and time.monotonic() >= deadline:
                raise AlreadyRunningError(
                    f"{what} is already running in process {owner or 'unknown'}; wait for it or end it"
                ) from error
            if not announced and elsewhere:
                print(f"{what}: waiting for process {owner} in {folder} to end", file=sys.stderr)
                announced = True
            time.sleep(_POLL_S)


def _end_by_signal(number: signal.Signals) -> None:
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, number)


def _open_ancestors() -> list[int]:
    """Return process handles of the parent and, if the parent is a shell, of the process that started the shell."""
    handles: list[int] = []
    process_id = os.getppid()
    while process_id > 1:
        try:
            handles.append(os.pidfd_open(process_id))
            status = Path(f"/proc/{process_id}/stat").read_text(encoding="utf-8")
        except OSError:
            break
        name, _, rest = status.partition("(")[2].rpartition(")")
        if name not in _SHELLS or "DVC_STAGE" not in os.environ:
            break
        process_id = int(rest.split()[1])
    return handles


def _watch(handles: list[int]) -> None:
    poll = select.poll()
    for handle in handles:
        poll.register(handle, select.POLLIN)
    if not handles:
        return
    poll.poll()
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_GRACE_S)
    os.kill(os.getpid(), signal.SIGKILL)
