"""DVC's lock of files, `.dvc/tmp/rwlock`: which processes read and write which paths."""

import json
from itertools import chain
from pathlib import Path
from typing import Any

import psutil
from dvc.rwlock import SCHEMA
from voluptuous import Invalid

from corpus.files import write_bytes

RWLOCK = Path(".dvc") / "tmp" / "rwlock"
_PROGRAMS = frozenset({"dvc", "pipeline.dvc.process"})
_WORDS_OF_A_COMMAND = 4  # python -m dvc, python /bin/dvc, dvc


def runs_dvc(process: psutil.Process) -> bool:
    """Tell whether a process is a command of DVC; False when it has ended or belongs to another user."""
    try:
        return bool({Path(word).name for word in process.cmdline()[:_WORDS_OF_A_COMMAND]} & _PROGRAMS)
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False


def is_damaged(path: Path) -> bool:
    """Tell whether the lock's file exists and is not what DVC writes."""
    try:
        SCHEMA(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return False
    except (ValueError, Invalid):
        return True
    return False


def find_stale_processes(path: Path) -> list[int]:
    """Return the processes in an intact lock that run no DVC; DVC would wait for one whose number is in use again."""
    content = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    holders = [*content.get("write", {}).values(), *chain.from_iterable(content.get("read", {}).values())]
    return sorted(number for number in {holder["pid"] for holder in holders} if not _is_dvc(number))


def remove_processes(path: Path, processes: list[int]) -> None:
    """Remove the entries of some processes."""
    content = json.loads(path.read_text(encoding="utf-8"))
    writers = {name: writer for name, writer in content.get("write", {}).items() if writer["pid"] not in processes}
    readers = {
        name: [reader for reader in found if reader["pid"] not in processes] for name, found in content.get("read", {}).items()
    }
    kept: dict[str, Any] = {"write": writers, "read": {name: found for name, found in readers.items() if found}}
    write_bytes(path, json.dumps(kept).encode())


def _is_dvc(number: int) -> bool:
    try:
        return runs_dvc(psutil.Process(number))
    except psutil.NoSuchProcess:
        return False
