"""Process care: one writer per output, and no orphan after the death of a parent."""

import ctypes
import fcntl
import json
import math
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

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


class Owner(NamedTuple):
    """The holder of a lock, as it signs the lock's file; `since` is local time."""

    process: int
    what: str
    folder: str
    since: str

    def __str__(self) -> str:
        """Return the process with its task, folder and start."""
        return f"process {self.process} ({self.what} in {self.folder} since {self.since})"


@contextmanager
def hold_lock(path: Path, *, what: str, wait_s: float = 0.0, of: str = "") -> Iterator[None]:
    """Hold an exclusive lock on `path` until the block ends; the kernel frees it when the process dies.

    The call waits `wait_s` seconds for a process of the same folder. It waits without limit for a process of another
    folder, such as a queued experiment on the same machine. Each wait for another holder is announced once on stderr,
    except a short one. `of` names the locked thing if it is not `what`. A killed holder leaves its signature in the file.

    Raises:
        AlreadyRunningError: naming the holder, when a process of the same folder still holds the lock.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        _acquire(handle, what=what, wait_s=wait_s, of=of)
        try:
            _sign(handle, path, what)
            yield
        finally:
            os.ftruncate(handle, 0)
    finally:
        os.close(handle)


def read_owner(path: Path) -> Owner | None:
    """Return the signature in a lock's file, of the present holder or of a killed one; None after an orderly end."""
    return _parse_owner(path.read_bytes()) if path.is_file() else None


def find_holder(path: Path) -> Owner | None:
    """Return the process that holds a lock at present; None if the lock is free, or its holder has not signed yet."""
    if not path.is_file():
        return None
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return read_owner(path)
    finally:
        os.close(handle)
    return None


def _parse_owner(content: bytes) -> Owner | None:
    try:
        return Owner(**json.loads(content))
    except (ValueError, TypeError):
        return None


def _sign(handle: int, path: Path, what: str) -> None:
    """Write the owner of the lock into its file."""
    owner = Owner(os.getpid(), what, str(Path.cwd()), time.strftime("%Y-%m-%d %H:%M:%S"))
    content = json.dumps(owner._asdict()).encode()
    try:
        os.ftruncate(handle, 0)
        os.pwrite(handle, content, 0)
    except OSError as error:
        if error.errno in NO_ROOM:
            raise explain_no_room(error, path, f"{len(content)} bytes are needed") from error
        raise


def _acquire(handle: int, *, what: str, wait_s: float, of: str) -> None:
    deadline = time.monotonic() + wait_s
    announced: Owner | None = None
    while True:
        try:
            return fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            owner = _parse_owner(os.pread(handle, 4096, 0))
            elsewhere = owner is not None and owner.folder != str(Path.cwd())
            if not elsewhere and time.monotonic() >= deadline:
                holder = f"process {owner.process} since {owner.since}" if owner else "an unknown process"
                raise AlreadyRunningError(f"{what} is already running in {holder}; wait for it or end it") from error
            if owner not in (None, announced) and (elsewhere or wait_s == math.inf):
                print(f"{what}: waiting for {f'{of}, held by ' if of else ''}{owner}", file=sys.stderr, flush=True)
                announced = owner
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
