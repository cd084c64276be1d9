"""The videos of a folder and its sub-folders, each with a unique id."""

import os
import stat
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from corpus.names import unify
from corpus.video_files import PassedOver, sort_files


class VideoFile(NamedTuple):
    """A video file. Its id is its path relative to the folder in normal Unicode form, so no two files share an id."""

    video_id: str
    path: Path
    relative: str  # the path as the file system spells it


class LeftOut(NamedTuple):
    """A file or folder that is not indexed, by its printable name, with the reason."""

    name: str
    reason: str


class FoundVideos(NamedTuple):
    """Contents of a folder: videos sorted by id, entries left out although they may be videos, and other files."""

    videos: tuple[VideoFile, ...]
    left_out: tuple[LeftOut, ...]
    passed_over: tuple[PassedOver, ...]


def find_videos(folder: Path) -> FoundVideos:
    """Find the videos of a folder and of its sub-folders.

    The search passes over hidden files and folders, follows links, and reads each folder once. If the names of two files
    differ only in Unicode form, the second is left out.

    Raises:
        ValueError: when there is no such folder.
    """
    if not folder.is_dir():
        raise ValueError(f"{folder} is {'a file' if folder.exists() else 'missing'}; name the folder that holds the videos")
    left_out: list[LeftOut] = []
    hidden: list[Path] = []
    files = sort_files(sorted(_list_files(folder, left_out, hidden)))
    videos: dict[str, VideoFile] = {}
    for path in files.videos:
        name = path.relative_to(folder).as_posix()
        if reason := _find_fault(name, path) or _find_twin(name, videos):
            left_out.append(LeftOut(_to_printable(name), reason))
        else:
            videos[unify(name)] = VideoFile(unify(name), path, name)
    passed_over = sorted([*files.passed_over, *((path, "hidden folder") for path in hidden)])
    others = (PassedOver(_to_printable(path.relative_to(folder).as_posix()), kind) for path, kind in passed_over)
    return FoundVideos(tuple(video for _, video in sorted(videos.items())), tuple(left_out), tuple(others))


def _find_twin(name: str, videos: Mapping[str, VideoFile]) -> str:
    twin = videos.get(unify(name))
    if twin is None:
        return ""
    return f"its name {ascii(name)} differs from {ascii(twin.relative)} only in Unicode form; rename or remove one of the files"


def _list_files(folder: Path, left_out: list[LeftOut], hidden: list[Path]) -> list[Path]:
    def note(error: OSError) -> None:
        left_out.append(LeftOut(_to_printable(str(error.filename)), f"the folder cannot be read: {error.strerror}"))

    found: list[Path] = []
    seen = {_identify(folder)}
    for parent, folders, files in os.walk(folder, followlinks=True, onerror=note):
        found += [Path(parent, name) for name in files]
        entered = []
        for path in sorted((Path(parent, name) for name in folders), key=lambda path: (path.is_symlink(), path)):
            if path.name.startswith("."):
                hidden.append(path)
            elif _identify(path) not in seen:
                seen.add(_identify(path))
                entered.append(path.name)
        folders[:] = entered
    return found


def _identify(folder: Path) -> tuple[int, int] | Path:
    try:
        status = folder.stat()
    except OSError:
        return folder  # the walk reports the error
    return status.st_dev, status.st_ino


def _find_fault(name: str, path: Path) -> str:
    if name != _to_printable(name):
        return "its name has control characters or is not valid UTF-8; rename it"
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return "it is a broken link"
    except OSError as error:
        return f"it cannot be read: {error.strerror}"
    return "" if stat.S_ISREG(mode) else "it is not a regular file"


def _to_printable(name: str) -> str:
    is_plain = all(unicodedata.category(character) not in ("Cc", "Cs") for character in name)
    return name if is_plain else ascii(name)
