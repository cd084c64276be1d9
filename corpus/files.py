"""Atomic file writes, checksums, and JSON files."""

import errno
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

NO_ROOM = frozenset({errno.ENOSPC, errno.EFBIG, errno.EDQUOT})


class NoRoomError(OSError):
    """A file does not fit: the disk is full, or a file size limit or user quota is reached."""

    def __str__(self) -> str:
        """Return the message without the error number."""
        return str(self.args[1])


def sha256_file(path: Path) -> str:
    """Return the hex sha256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_json(value: object) -> str:
    """Return the hex sha256 of a JSON value, independent of key order."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def write_file(path: Path, write: Callable[[BinaryIO], object], *, num_bytes: int | None = None) -> None:
    """Let `write` fill a temporary file beside `path`, then fsync and rename it, so that `path` is never half-written.

    `num_bytes` is the size of the file for the error message, if the caller knows it.

    Raises:
        NoRoomError: when the file does not fit, naming `path`, the bytes needed or written and the bytes free.
        OSError: for other reasons, naming `path` and the bytes written so far.
    """
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
        temporary = Path(name)
        with os.fdopen(handle, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException as error:
        written = 0 if temporary is None else _remove(temporary)
        if not isinstance(error, OSError):
            raise
        if error.errno in NO_ROOM:
            amount = f"{written} bytes were written" if num_bytes is None else f"{num_bytes} bytes are needed"
            raise explain_no_room(error, path, amount) from error
        raise OSError(error.errno, f"cannot write {path} ({written} bytes written): {error.strerror or error}") from error


def _remove(temporary: Path) -> int:
    """Remove a file and return how many bytes it had."""
    num_bytes = temporary.stat().st_size if temporary.exists() else 0
    temporary.unlink(missing_ok=True)
    return num_bytes


def explain_no_room(error: OSError, path: Path, amount: str) -> NoRoomError:
    """Return the error that names the file and the remedy; `amount` is, for instance, "12 bytes are needed"."""
    assert error.errno in NO_ROOM
    if isinstance(error, NoRoomError):
        return error
    remedy = {
        errno.ENOSPC: "free some",
        errno.EDQUOT: "delete files of yours or ask for a larger quota",
        errno.EFBIG: "raise the limit on a file's size (ulimit -f)",
    }[error.errno]
    reason = f"{os.strerror(error.errno)}; {amount}, {describe_room(path)}"
    return NoRoomError(error.errno, f"cannot write {path}: {reason}; {remedy} and run it again")


def describe_room(path: Path) -> str:
    """Describe the free space of the file system of a path."""
    folder = _find_folder(path)
    return f"{measure_free_bytes(folder)} bytes are free in {folder}"


def measure_free_bytes(path: Path) -> int:
    """Return the free bytes on the file system of a path, which need not exist yet."""
    return shutil.disk_usage(_find_folder(path)).free


def _find_folder(path: Path) -> Path:
    folder = path.absolute()
    while not folder.is_dir():
        folder = folder.parent
    return folder


def write_bytes(path: Path, content: bytes) -> None:
    """Write bytes by temporary file, fsync and rename."""
    write_file(path, lambda file: file.write(content), num_bytes=len(content))


def write_json(path: Path, value: object) -> None:
    """Write a JSON value, indented and with sorted keys, so that equal values give equal bytes."""
    write_bytes(path, (json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode())


def write_jsonl(path: Path, rows: Iterable[object]) -> None:
    """Write one JSON value per line."""
    write_bytes(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode())


def remove_all_but(folder: Path, kept: Collection[Path]) -> None:
    """Remove everything in a folder except `kept`; the folder need not exist."""
    for path in folder.iterdir() if folder.is_dir() else ():
        if path not in kept:
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        ValueError: naming the file, when it is not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not JSON: {error}") from error


def require_format_version(path: Path, found: object, *, expected: int, remedy: str) -> None:
    """Refuse a file that another version of the code wrote. `remedy` is the command that rebuilds it.

    Raises:
        ValueError: naming the file, both versions and the remedy.
    """
    if found != expected:
        raise ValueError(f"{path} has format_version {found!r}, this code reads {expected}; run: {remedy}")


def read_jsonl(path: Path) -> Iterator[tuple[int, Any]]:
    """Yield (line number from 1, value) for every line of a JSONL file that is not blank.

    Raises:
        ValueError: naming file and line, when a line is not JSON.
    """
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                yield number, json.loads(line)
            except json.JSONDecodeError as error:
                raise ValueError(f"{path} line {number} is not JSON: {error}") from error
