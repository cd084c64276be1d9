"""Detection of videos among files, by suffix or by content.

A file with a video suffix counts as a video; probing reports its defects. Of any other file, the first bytes are read. If they
belong to a container or are unknown, a child process with a budget reads its streams.
"""

import stat
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import av
from av.container import InputContainer
from av.stream import Disposition

from corpus.file_kinds import HEAD_BYTES, find_kind_by_content, find_kind_by_name, is_container, is_named_by_suffix
from corpus.isolation import Budget, Failure, Report, Success, run_isolated
from corpus.names import VIDEO_SUFFIXES

LOOK_BUDGET = Budget(silence_s=60.0, silence_s_per_mebibyte=0.0)
_NO_VIDEO = "no video"
_TEXT_TOO = frozenset({".mod", ".ts"})  # video suffixes that source code uses too
_STREAMS_BYTES = 1 << 20  # limit of bytes read to find the streams of a file,
_FORMAT_BYTES = 1 << 14  # and its format; the time grows with both
_STILLS = ("image2", "gif", "apng", "webp", "ico")  # picture formats, which count as videos with at least two pictures
_MAX_NAMED = 20


class PassedOver(NamedTuple):
    """A file or folder that is not a video: its name and kind, for instance "text"."""

    name: str
    kind: str

    def __str__(self) -> str:
        return f"{self.name} ({self.kind})"


class SortedFiles(NamedTuple):
    """Videos and other files, both in the given order."""

    videos: tuple[Path, ...]
    passed_over: tuple[tuple[Path, str], ...]  # with their kinds


def sort_files(paths: Iterable[Path], *, budget: Budget = LOOK_BUDGET) -> SortedFiles:
    """Separate videos from other files. An unreadable file counts as a video if its name says so."""
    kinds = {path: _find_kind(path) for path in paths}
    unclear = [path for path, kind in kinds.items() if kind is None]
    kinds |= {path: _prefer_name(path, kind) for path, kind in _look_into(unclear, budget).items()}
    videos = tuple(path for path, kind in kinds.items() if not kind)
    return SortedFiles(videos, tuple((path, kind) for path, kind in kinds.items() if kind))


def describe_passed_over(passed_over: Sequence[PassedOver]) -> str:
    """Return a sentence that counts skipped files and names the first twenty of each kind; empty without any."""
    if not passed_over:
        return ""
    number = "1 file that is not a video" if len(passed_over) == 1 else f"{len(passed_over)} files that are not videos"
    counts = Counter(one.kind for one in passed_over)
    if len(passed_over) <= _MAX_NAMED:
        return f"passed over: {number}: {', '.join(map(str, passed_over))}"
    parts = []
    for kind, count in counts.most_common():
        names = [one.name for one in passed_over if one.kind == kind]
        more = f", ... and {count - _MAX_NAMED} more" if count > _MAX_NAMED else ""
        parts.append(f"{count} {kind} ({', '.join(names[:_MAX_NAMED])}{more})")
    return f"passed over: {number}: {'; '.join(parts)}"


def _prefer_name(path: Path, kind: str) -> str:
    """Return the kind of a file by its name if its streams do not tell."""
    return find_kind_by_name(path) or kind if kind.startswith(_NO_VIDEO) else kind


def _find_kind(path: Path) -> str | None:
    """Return the kind of a file, empty for a video, `None` if only its streams can tell."""
    suffix = path.suffix.lower()
    if kind := find_kind_by_name(path):
        return None if is_named_by_suffix(path) and is_container(_read_head(path)) else kind
    if suffix not in VIDEO_SUFFIXES:
        return _read_kind(path) or None
    return "text" if suffix in _TEXT_TOO and _read_kind(path) == "text" else ""


def _read_head(path: Path) -> bytes:
    """Return the first bytes of a file, none if it cannot be read; then its name decides."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return b""
        with path.open("rb") as file:
            return file.read(HEAD_BYTES)
    except OSError:
        return b""


def _read_kind(path: Path) -> str:
    """Return the kind of a file by its first bytes, or why it cannot be read; empty if it may be a video."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return "no regular file"
        with path.open("rb") as file:
            return find_kind_by_content(file.read(HEAD_BYTES))
    except FileNotFoundError:
        return "link to nothing"
    except OSError as error:
        return f"cannot be read: {error.strerror}"


def _look_into(paths: Sequence[Path], budget: Budget) -> dict[Path, str]:
    """Return the kind of each file, empty for a video, after opening it in a child process."""
    kinds = dict.fromkeys(paths, _NO_VIDEO)
    for event in run_isolated(find_kind_by_streams, paths, num_workers=1, budget=budget):
        if isinstance(event, Success):
            kinds[event.path] = event.value
        elif isinstance(event, Failure):
            kinds[event.path] = f"{_NO_VIDEO}: {event.reason}"
    return kinds


def find_kind_by_streams(path: Path, _: Report | None = None) -> str:
    """Return the kind of a file by its streams, empty if it contains moving pictures.

    Raises:
        OSError: when the file cannot be read.
    """
    options = {"protocol_whitelist": "file", "probesize": str(_STREAMS_BYTES), "formatprobesize": str(_FORMAT_BYTES)}
    try:
        with av.open(str(path.resolve()), options=options, metadata_errors="replace") as container:
            return _find_kind_of_container(container)
    except av.error.FFmpegError:
        return _NO_VIDEO


def _find_kind_of_container(container: InputContainer) -> str:
    name = container.format.name
    pictures = [stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic]
    if name == "tty":
        return "text"
    if not pictures:
        return "sound" if container.streams.audio else "subtitles" if container.streams.subtitles else _NO_VIDEO
    if name.endswith("_pipe") or name in _STILLS:
        frames = (packet for packet in container.demux(pictures[0]) if packet.size)
        if next(frames, None) is None or next(frames, None) is None:
            return "image"
    return ""
