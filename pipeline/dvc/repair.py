"""Repair of files that DVC leaves damaged when it is stopped during a write, so that you need not delete anything.

DVC writes `dvc.lock` and `.dvc/tmp/rwlock` in place. A full disk or a kill leaves them empty or truncated, and then every
later command fails. Copies that did not fit stay in its cache. Its state databases hold nothing but hashes.
"""

import os
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import psutil
import yaml
from dvc.schema import COMPILED_LOCKFILE_SCHEMA as LOCK_SCHEMA
from voluptuous import Invalid

from corpus.files import write_bytes
from pipeline.disk.commit_room import find_cache
from pipeline.dvc.rwlock import RWLOCK, find_stale_processes, is_damaged, remove_processes, runs_dvc

LOCK = Path("dvc.lock")
_KEPT = Path(".cache") / "dvc" / "dvc.lock"


class Damage(NamedTuple):
    """A damaged file: what it is, and the function that mends it and returns what it did."""

    what: str
    mend: Callable[[], str]


def repair(root: Path) -> list[str]:
    """Repair the damaged files of a checkout in which no other DVC runs, and return the repairs."""
    damages = find_damage(root)
    if not damages or find_live_dvc(root) is not None:
        return []
    return [damage.mend() for damage in damages]


def find_damage(root: Path) -> list[Damage]:
    """Return the damaged files of a checkout; while a DVC runs, it may just write one of them.

    A damaged `dvc.lock` is replaced by the kept copy or by the committed file, or removed. DVC restores the stages that it
    then lacks from the run cache. A lock of a process that runs no DVC is removed: DVC would wait for it if its number is
    in use again.
    """
    damages, rwlock = [], root / RWLOCK
    leftovers = list(_find_leftovers(root))
    if leftovers:
        what = f"{len(leftovers)} copies in {find_cache(root).folder} are unfinished"
        damages.append(Damage(what, partial(_remove_leftovers, root)))
    if is_damaged(rwlock):
        damages.append(Damage(f"{RWLOCK} is truncated", partial(_remove_rwlock, rwlock)))
    elif stale := find_stale_processes(rwlock):
        damages.append(Damage(f"{RWLOCK} names {_join(stale)}, which runs no DVC", partial(_remove_stale, rwlock, stale)))
    if _is_lock_damaged(root / LOCK):
        damages.append(Damage(f"{LOCK} is truncated", lambda: f"{_restore_lock(root)} {LOCK}, which was truncated"))
    return damages


def keep_lock(root: Path) -> None:
    """Keep a copy of an intact `dvc.lock`, so that restoring it needs no room.

    Raises:
        NoRoomError: when there is no room for the copy.
    """
    path, kept = root / LOCK, root / _KEPT
    if not path.is_file() or _is_lock_damaged(path):
        return
    content = path.read_bytes()
    if not kept.is_file() or kept.read_bytes() != content:
        write_bytes(kept, content)


def remove_damaged_databases(folder: Path) -> None:
    """Remove the damaged SQLite databases below a folder; DVC recreates them."""
    for path in folder.rglob("*.db"):
        if _is_database_damaged(path):
            for suffix in ("", "-wal", "-shm"):
                path.with_name(path.name + suffix).unlink(missing_ok=True)


def find_live_dvc(root: Path) -> int | None:
    """Return the id of another process that runs DVC in a checkout, or None."""
    ours = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    for process in psutil.process_iter():
        try:
            if process.pid not in ours and runs_dvc(process) and Path(process.cwd()).is_relative_to(root.resolve()):
                return int(process.pid)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return None


def _find_leftovers(root: Path) -> Iterator[Path]:
    folder = find_cache(root).folder
    yield from folder.glob("files/md5/*/.*.tmp")
    yield from folder.glob("runs/*/*/.*.tmp")


def _remove_leftovers(root: Path) -> str:
    leftovers = list(_find_leftovers(root))
    for path in leftovers:
        path.unlink(missing_ok=True)
    return f"removed {len(leftovers)} unfinished copies from {find_cache(root).folder}"


def _remove_rwlock(path: Path) -> str:
    path.unlink(missing_ok=True)
    return f"removed {RWLOCK}, which was truncated"


def _remove_stale(path: Path, processes: list[int]) -> str:
    remove_processes(path, processes)
    return f"removed {_join(processes)} from {RWLOCK}"


def _join(processes: list[int]) -> str:
    return f"process {', '.join(map(str, processes))}"


def _is_lock_damaged(path: Path) -> bool:
    try:
        LOCK_SCHEMA(yaml.load(path.read_bytes(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)))
    except FileNotFoundError:
        return False
    except (yaml.YAMLError, UnicodeDecodeError, Invalid):
        return True
    return False


def _is_database_damaged(path: Path) -> bool:
    try:
        connection = sqlite3.connect(path, isolation_level=None)
        try:
            return bool(connection.execute("PRAGMA quick_check(1)").fetchall() != [("ok",)])
        finally:
            connection.close()
    except sqlite3.OperationalError:  # another process holds it, or the disk is full: not a damage of its content
        return False
    except sqlite3.DatabaseError:
        return True


def _restore_lock(root: Path) -> str:
    """Replace a damaged lock by the kept or the committed file, else remove it; return a description."""
    if (root / _KEPT).is_file() and not _is_lock_damaged(root / _KEPT):
        (root / _KEPT).replace(root / LOCK)
        return "restored the last intact"
    committed = subprocess.run(["git", "show", f"HEAD:./{LOCK}"], cwd=root, capture_output=True, check=False)
    if committed.returncode == 0:
        write_bytes(root / LOCK, committed.stdout)
        return "restored the committed"
    (root / LOCK).unlink()
    return "removed"
