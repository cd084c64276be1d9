"""What a reader of annotations must do, and the one form in which all of them give what they read."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from corpus.params import Params
from corpus.records import Query

VIDEOS = "videos"
_VIDEO_SUFFIXES = frozenset(
    {".3gp", ".asf", ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg"}
    | {".mpg", ".mts", ".mxf", ".ogv", ".ts", ".vob", ".webm", ".wmv"}
)


@dataclass(frozen=True, slots=True)
class RowNote:
    """A row of the annotations that was left out or changed, and why. `row` names file and line."""

    row: str
    qid: str
    reason: str

    def to_json(self) -> dict[str, str]:
        """Return the JSON form."""
        return {"row": self.row, "qid": self.qid, "reason": self.reason}


@dataclass(frozen=True, slots=True)
class ReadResult:
    """The annotations of a corpus: every row is a query or is listed in `dropped`.

    The split of a query is the published one, or empty. `rows` names the row of each query by its qid; `durations_s`
    holds the annotated length of each video by its id, where the annotations give one.
    """

    queries: tuple[Query, ...]
    rows: Mapping[str, str]
    durations_s: Mapping[str, float]
    dropped: tuple[RowNote, ...] = ()
    clipped: tuple[RowNote, ...] = ()


class Reader(ABC):
    """Reads the annotations of one published format."""

    @abstractmethod
    def read(self, root: Path) -> ReadResult:
        """Read the annotations below `root`; the videos are not needed.

        Raises:
            ValueError: naming file and line of each row that cannot be read.
        """

    def find_videos(self, root: Path) -> dict[str, str]:
        """Return the path relative to `root` of each video file, by video id: `videos/<id>.<any video suffix>`.

        Raises:
            ValueError: when two files have one id.
        """
        found: dict[str, str] = {}
        for path in sorted((root / VIDEOS).glob("*")):
            if path.suffix.lower() not in _VIDEO_SUFFIXES or path.name.startswith("."):
                continue
            if path.stem in found:
                raise ValueError(f"{root / found[path.stem]} and {path.name} are both the video {path.stem!r}; remove one")
            found[path.stem] = f"{VIDEOS}/{path.name}"
        return found


class ReaderParams(Params, ABC):
    """Schema shared by all readers."""

    @abstractmethod
    def build(self) -> Reader:
        """Return the reader."""
