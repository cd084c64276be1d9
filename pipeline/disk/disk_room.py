"""Messages about a full disk, for the errors of any library."""

import os
from collections.abc import Iterator
from pathlib import Path

from corpus.files import NO_ROOM, NoRoomError, describe_room, explain_no_room

_WORDS = (
    *(os.strerror(number) for number in sorted(NO_ROOM)),
    "disk is full",  # SQLite
    "No usable temporary directory",  # Python, when no folder for temporary files is writable
)


def describe_no_room(error: BaseException) -> str | None:
    """Return the file, the sizes and the remedy of an error about a full disk, else None.

    Torch, safetensors, SQLite and child processes wrap the system's error, so the function also searches causes and texts.
    """
    chain = tuple(iter_chain(error))
    for one in chain:
        if isinstance(one, NoRoomError):
            return str(one)
    for one in chain:
        if isinstance(one, OSError) and one.errno in NO_ROOM and isinstance(one.filename2 or one.filename, str):
            return _describe_file(one, Path(one.filename2 or one.filename))
    for one in chain:
        if any(word in str(one) for word in _WORDS):
            reason = str(error) if one is error else f"{error} ({one})"
            return f"{reason}; {describe_rooms()}; free some and run it again"
    return None


def describe_rooms() -> str:
    """Return the free bytes in the working folder and in the folder for temporary files."""
    folders = (Path.cwd(), Path(os.environ.get("TMPDIR", "/tmp")))
    return ", ".join(describe_room(folder) for folder in folders)


def _describe_file(error: OSError, path: Path) -> str:
    size = path.stat().st_size if path.is_file() else 0
    return str(explain_no_room(error, path, f"{size} bytes were written"))


def iter_chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and its chain of causes."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__
