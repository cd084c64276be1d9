"""The videos of a folder, found by their names."""

import os
import stat
import unicodedata
from pathlib import Path
from typing import NamedTuple

from corpus.video_files import is_video_name


class VideoFile(NamedTuple):
    """A video file; its path relative to the folder is its id, so that no two files share one."""

    video_id: str
    path: Path


class LeftOut(NamedTuple):
    """A file or folder that is not indexed, by its printable name, and why."""

    name: str
    reason: str


class FoundVideos(NamedTuple):
    """What a folder holds: its videos, sorted by id, and what was passed over although it has a video's name."""

    videos: tuple[VideoFile, ...]
    left_out: tuple[LeftOut, ...]


def find_videos(folder: Path) -> FoundVideos:
    """Find the videos of a folder and of its sub-folders.

    Hidden files and folders are passed over. Links are followed, each folder is read once.

    Raises:
        ValueError: when there is no such folder.
    """
    if not folder.is_dir():
        raise ValueError(f"{folder} is {'a file' if folder.exists() else 'missing'}; name the folder that holds the videos")
    left_out: list[LeftOut] = []
    paths = [path for path in _list_files(folder, left_out) if is_video_name(path)]
    videos = []
    for path in sorted(paths):
        name = path.relative_to(folder).as_posix()
        if reason := _find_fault(name, path):
            left_out.append(LeftOut(_to_printable(name), reason))
        else:
            videos.append(VideoFile(name, path))
    return FoundVideos(tuple(videos), tuple(left_out))


def _list_files(folder: Path, left_out: list[LeftOut]) -> list[Path]:
    def note(error: OSError) -> None:
        left_out.append(LeftOut(_to_printable(str(error.filename)), f"the folder cannot be read: {error.strerror}"))

    found: list[Path] = []
    seen = {_identify(folder)}
    for parent, folders, files in os.walk(folder, followlinks=True, onerror=note):
        found += [Path(parent, name) for name in files]
        entered = []
        for path in sorted((Path(parent, name) for name in folders), key=lambda path: (path.is_symlink(), path)):
            if not path.name.startswith(".") and _identify(path) not in seen:
                seen.add(_identify(path))
                entered.append(path.name)
        folders[:] = entered
    return found


def _identify(folder: Path) -> tuple[int, int] | Path:
    try:
        status = folder.stat()
    except OSError:
        return folder  # the walk says so
    return status.st_dev, status.st_ino


def _find_fault(name: str, path: Path) -> str:
    if name != _to_printable(name):
        return "its name has control characters or is not valid UTF-8; rename it"
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return "it is a link to nothing"
    except OSError as error:
        return f"it cannot be read: {error.strerror}"
    return "" if stat.S_ISREG(mode) else "it is no regular file"


def _to_printable(name: str) -> str:
    is_plain = all(unicodedata.category(character) not in ("Cc", "Cs") for character in name)
    return name if is_plain else ascii(name)
