"""Interface of annotation readers, and their common result."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar, NamedTuple

from corpus.names import name_video, unify
from corpus.params import Params
from corpus.records import Query
from corpus.video_files import PassedOver, sort_files

VIDEOS = "videos"
_BAD_NAME = "name that is not valid UTF-8; rename it"


@dataclass(frozen=True, slots=True)
class RowNote:
    """A row that was left out or changed, with the reason. `row` names file and line, `split` is the published split."""

    row: str
    qid: str
    reason: str
    split: str = ""

    def to_json(self) -> dict[str, str]:
        """Return the JSON form."""
        return {"row": self.row, "qid": self.qid, "reason": self.reason, "split": self.split}


@dataclass(frozen=True, slots=True)
class ReadResult:
    """The annotations of a corpus: every row becomes a query or a moment of one, or is listed in `dropped`.

    The split of a query is the published one, or empty. `rows` maps qids to rows. `durations_s` maps video ids to annotated
    lengths, if the annotations give them. `num_rows` counts the rows of each split. A row in `dropped` may be in `clipped`
    too, because it was clipped first.
    """

    queries: tuple[Query, ...]
    rows: Mapping[str, str]
    durations_s: Mapping[str, float]
    dropped: tuple[RowNote, ...] = ()
    clipped: tuple[RowNote, ...] = ()
    num_rows: Mapping[str, int] = field(default_factory=dict)


class VideoFiles(NamedTuple):
    """The files of `videos/`: paths of videos relative to the corpus folder, by id, and the files that are not videos."""

    paths: dict[str, str]
    passed_over: tuple[PassedOver, ...]


class Reader(ABC):
    """Reader of one published annotation format.

    `granularity_s` is the length of the segments that times are rounded to; the last one may end that much after its video.
    `assumed_fps` is the frame rate for converting frames to seconds, in formats that count frames; videos of another rate
    need a correction. `reannotated` maps a published split to a split that annotates its videos again.
    """

    granularity_s: ClassVar[float] = 0.0
    assumed_fps: ClassVar[float | None] = None
    reannotated: ClassVar[Mapping[str, str]] = MappingProxyType({})

    @abstractmethod
    def read(self, root: Path) -> ReadResult:
        """Read the annotations below `root`, without the videos.

        Raises:
            ValueError: naming file and line of each malformed row.
        """

    def name_video(self, file_name: str) -> str:
        """Return the id of a video from a file name or an annotation; see `corpus.names.name_video`."""
        return name_video(file_name)

    def find_videos(self, root: Path) -> VideoFiles:
        """Find the videos in `videos/`: files named `<id>.<video suffix>`, and other files with video content.

        Raises:
            ValueError: when two files have the same id, because their names differ only in suffix or Unicode form.
        """
        entries = sorted((root / VIDEOS).glob("*"))
        kinds = [(path, "folder" if path.is_dir() else "" if _is_writable(path.name) else _BAD_NAME) for path in entries]
        files = sort_files(path for path, kind in kinds if not kind)
        found: dict[str, str] = {}
        for path in files.videos:
            video_id = self.name_video(path.name)
            if video_id in found:
                raise ValueError(_describe_twins(root / found[video_id], path, video_id))
            found[video_id] = f"{VIDEOS}/{path.name}"
        passed_over = sorted([*((path, kind) for path, kind in kinds if kind), *files.passed_over])
        return VideoFiles(found, tuple(PassedOver(_to_printable(path.name), kind) for path, kind in passed_over))


class ReaderParams(Params, ABC):
    """Schema shared by all readers."""

    @abstractmethod
    def build(self) -> Reader:
        """Return the reader."""


def _is_writable(name: str) -> bool:
    return name.isascii() or not any("\ud800" <= character <= "\udfff" for character in name)


def _to_printable(name: str) -> str:
    return name if name.isprintable() else ascii(name)


def _describe_twins(first: Path, second: Path, video_id: str) -> str:
    """Return the message that two files have the id of one video."""
    if unify(first.name) == unify(second.name):
        forms = f"{ascii(first.name)} and {ascii(second.name)}"
        return f"two files in {first.parent} have one name in two Unicode forms, {forms}; rename or remove one"
    return f"{first} and {second.name} are both the video {video_id!r}; remove one"
