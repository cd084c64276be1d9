"""Folders named by the content of their files. Such a folder never changes; a new one replaces it."""

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from corpus.files import sha256_file, sha256_json

_FILES, _UNFINISHED = "files-", ".unfinished-"


class ContentFolder(NamedTuple):
    """A folder and the hash of each of its files."""

    path: Path
    hashes: dict[str, str]


def write_content_folder(parent: Path, write: Callable[[Path], None]) -> ContentFolder:
    """Create a folder in `parent`, filled by `write` and named by the hashes of its files. An equal folder stays."""
    parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=parent))
    try:
        write(unfinished)
        hashes = _hash_files(unfinished)
        path = parent / f"{_FILES}{sha256_json(hashes)[:16]}"
        if not path.is_dir() or _hash_files(path) != hashes:
            shutil.rmtree(path, ignore_errors=True)
            os.chmod(unfinished, 0o755)
            unfinished.rename(path)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return ContentFolder(path, hashes)


def remove_other_folders(parent: Path, kept: Path) -> None:
    """Delete all other content folders, and unfinished ones that killed processes left."""
    for path in parent.iterdir():
        if path.name.startswith((_FILES, _UNFINISHED)) and path != kept:
            shutil.rmtree(path)


def _hash_files(folder: Path) -> dict[str, str]:
    return {path.name: sha256_file(path) for path in sorted(folder.iterdir())}
