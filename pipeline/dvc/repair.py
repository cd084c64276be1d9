"""Repair of files that DVC leaves damaged when it is stopped during a write, so that you need not delete anything.

DVC writes `dvc.lock` and `.dvc/tmp/rwlock` in place. A full disk or a kill leaves them empty or truncated, and then every
later command fails. Copies that did not fit stay in its cache. Its state databases hold nothing but hashes.
"""

import json
import os
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import yaml
from dvc.rwlock import SCHEMA as RWLOCK_SCHEMA
from dvc.schema import COMPILED_LOCKFILE_SCHEMA as LOCK_SCHEMA
from voluptuous import Invalid

from corpus.files import write_bytes
from pipeline.disk.commit_room import find_cache

LOCK = Path("dvc.lock")
_RWLOCK = Path(".dvc") / "tmp" / "rwlock"
_KEPT = Path(".cache") / "dvc" / "dvc.lock"
_PROGRAMS = frozenset({"dvc", "pipeline.dvc.process"})
_WORDS_OF_A_COMMAND = 4  # python -m dvc, python /bin/dvc, dvc


def repair(root: Path) -> list[str]:
    """Repair the damaged files of a checkout in which no other DVC runs, and return the repairs.

    A damaged `dvc.lock` is replaced by the kept copy or by the committed file, or removed. DVC restores the stages that it
    then lacks from the run cache.
    """
    leftovers = list(_find_leftovers(root))
    lock_is_damaged, rwlock_is_damaged = _is_lock_damaged(root / LOCK), _is_rwlock_damaged(root / _RWLOCK)
    if not (leftovers or lock_is_damaged or rwlock_is_damaged) or find_live_dvc(root) is not None:
        return []
    done = []
    for path in leftovers:
        path.unlink(missing_ok=True)
    if leftovers:
        done.append(f"removed {len(leftovers)} unfinished copies from {find_cache(root).folder}")
    if rwlock_is_damaged:
        (root / _RWLOCK).unlink(missing_ok=True)
        done.append(f"removed {_RWLOCK}, which was truncated")
    if lock_is_damaged:
        done.append(f"{_restore_lock(root)} {LOCK}, which was truncated")
    return done


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
            words = {Path(word).name for word in process.cmdline()[:_WORDS_OF_A_COMMAND]}
            if process.pid not in ours and words & _PROGRAMS and Path(process.cwd()).is_relative_to(root.resolve()):
                return int(process.pid)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return None


def _find_leftovers(root: Path) -> Iterator[Path]:
    folder = find_cache(root).folder
    yield from folder.glob("files/md5/*/.*.tmp")
    yield from folder.glob("runs/*/*/.*.tmp")


def _is_rwlock_damaged(path: Path) -> bool:
    try:
        RWLOCK_SCHEMA(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return False
    except (ValueError, Invalid):
        return True
    return False


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
