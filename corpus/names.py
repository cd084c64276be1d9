"""Unicode-safe names of videos and files: one spelling per name, regardless of the Unicode form of its source.

A Mac writes "é" as two characters, most other systems as one; both are the same name. Names in records are composed (NFC).
Paths of files keep the bytes of their file system.
"""

import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

VIDEO_SUFFIXES = frozenset(
    {".3g2", ".3gp", ".3gpp", ".amv", ".asf", ".avi", ".divx", ".dv", ".evo", ".f4v", ".flv", ".insv", ".ivf", ".lrv", ".m1v"}
    | {".m2t", ".m2ts", ".m2v", ".m4v", ".mjpeg", ".mjpg", ".mk3d", ".mkv", ".mod", ".mov", ".mp4", ".mp4v", ".mpe", ".mpeg"}
    | {".mpeg4", ".mpg", ".mpv", ".mts", ".mxf", ".nsv", ".nut", ".ogm", ".ogv", ".qt", ".rm", ".rmvb", ".tod", ".trp", ".ts"}
    | {".vob", ".vro", ".webm", ".wmv", ".wtv", ".xvid", ".y4m"}
)
_SUFFIXES_AT_END = re.compile(f"(?:{'|'.join(map(re.escape, sorted(VIDEO_SUFFIXES)))})+$", re.IGNORECASE)


def unify(name: str) -> str:
    """Return the canonical spelling of a name: its composed form (NFC)."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def fold_name(name: str) -> str:
    """Return a key that is equal for names that differ only in Unicode form or case."""
    return unify(unify(name).casefold())


def name_video(file_name: str) -> str:
    """Return the id of a video from the name of its file: unified, without suffixes of video files."""
    name = unify(file_name)
    return _SUFFIXES_AT_END.sub("", name) or name


def find_spelling(name: str, spellings: Iterable[str]) -> str | None:
    """Return the member of `spellings` that is the same name, `None` without any.

    Raises:
        ValueError: when two members are spellings of the name.
    """
    found = [spelling for spelling in spellings if unify(spelling) == unify(name)]
    if len(found) > 1:
        raise ValueError(f"{name!r} exists in {len(found)} Unicode forms: {', '.join(map(ascii, found))}; remove all but one")
    return found[0] if found else None


def find_path(root: Path, relative: str) -> Path:
    """Return the path of a name below `root`. Parts that do not exist as spelled are searched in other Unicode forms.

    If nothing of the path exists, it is returned unchanged.

    Raises:
        ValueError: when a folder holds a part of the path in two Unicode forms.
    """
    exact = root / relative
    if relative.isascii() or exact.exists():
        return exact
    path = root
    for part in PurePosixPath(relative).parts:
        if not (path / part).exists() and path.is_dir():
            part = find_spelling(part, (entry.name for entry in path.iterdir())) or part
        path = path / part
    return path
