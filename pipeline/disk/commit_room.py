"""Check that DVC's cache has room for a stage's outputs, before the stage ends.

DVC only logs the files that it cannot store. Without room for its own records, it loses `dvc.lock` or never ends.
"""

import configparser
import errno
import fcntl
import hashlib
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import yaml

from corpus.files import NoRoomError, measure_free_bytes

RECORDS_BYTES = 2 << 20  # dvc.lock, run cache, state databases
_FICLONE = 0x40049409  # ioctl of Linux: let two files share their blocks


class CacheSettings(NamedTuple):
    """The folder of DVC's cache, and its preferred link type; empty for the default."""

    folder: Path
    link: str


def require_room_to_commit(stage: str, root: Path = Path()) -> None:
    """Fail a stage whose outputs, or whose DVC records, do not fit on the disk.

    Raises:
        NoRoomError: naming the folder, the bytes needed and the bytes free.
    """
    cache = find_cache(root)
    outs = find_outs(root / "dvc.yaml", stage)
    files = [path for out in outs for path in _iter_files(root / out)]
    needed = sum(path.stat().st_size for path in files)
    if measure_free_bytes(cache.folder) < needed + RECORDS_BYTES:
        needed = _measure_new_bytes(files, cache)
        _require(cache.folder, needed + RECORDS_BYTES, f"take {', '.join(outs)} into DVC's cache")
    for folder in (root, Path(os.environ.get("DVC_SITE_CACHE_DIR", "/var/tmp/dvc"))):
        _require(folder, RECORDS_BYTES, "keep DVC's records")


def find_cache(root: Path) -> CacheSettings:
    """Read DVC's settings of this checkout."""
    config = configparser.ConfigParser(interpolation=None, strict=False)
    config.read([root / ".dvc" / "config", root / ".dvc" / "config.local"], encoding="utf-8")
    link = config.get("cache", "type", fallback="").partition(",")[0].strip()
    return CacheSettings(root / ".dvc" / config.get("cache", "dir", fallback="cache"), link)


def find_outs(pipeline: Path, stage: str) -> list[str]:
    """Return the outputs of a stage that DVC stores in its cache, none for an unknown stage.

    An item of a foreach stage is named `stage@item`.
    """
    name, _, item = stage.partition("@")
    stages = yaml.safe_load(pipeline.read_text(encoding="utf-8"))["stages"] if pipeline.is_file() else {}
    entry, outs = stages.get(name, {}), list[str]()
    for out in entry.get("do", entry).get("outs", []):
        path, settings = next(iter(out.items())) if isinstance(out, dict) else (out, {})
        if settings.get("cache", True):
            outs.append(path.replace("${key}", item))
    return outs


def _iter_files(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path
    elif path.is_dir():
        yield from (file for file in sorted(path.rglob("*")) if file.is_file())


def _measure_new_bytes(files: Sequence[Path], cache: CacheSettings) -> int:
    """Return the size of the files that are not in the cache yet; linked files need no room."""
    new = [path for path in files if not _is_cached(path, cache.folder)]
    if cache.link == "hardlink" or (new and cache.link in ("", "reflink") and _can_share_blocks(new[0], cache.folder)):
        return 0
    return sum(path.stat().st_size for path in new)


def _is_cached(path: Path, folder: Path) -> bool:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    return (folder / "files" / "md5" / digest[:2] / digest[2:]).is_file()


def _can_share_blocks(path: Path, folder: Path) -> bool:
    folder.mkdir(parents=True, exist_ok=True)
    with path.open("rb") as source, tempfile.TemporaryFile(dir=folder) as target:
        try:
            fcntl.ioctl(target, _FICLONE, source.fileno())
        except OSError:
            return False
    return True


def _require(folder: Path, num_bytes: int, purpose: str) -> None:
    free = measure_free_bytes(folder)
    if free < num_bytes:
        raise NoRoomError(
            errno.ENOSPC,
            f"{os.strerror(errno.ENOSPC)} to {purpose}: {num_bytes} bytes are needed, {free} bytes are free in "
            f"{folder.absolute()}; free some and run it again",
        )
