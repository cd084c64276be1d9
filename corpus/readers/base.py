"""What a reader of annotations must do, and the one form in which all of them give what they read."""

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar

from corpus.params import Params
from corpus.records import Query
from corpus.video_files import VIDEO_SUFFIXES, is_video_name

VIDEOS = "videos"
_SUFFIXES_AT_END = re.compile(f"(?:{'|'.join(map(re.escape, sorted(VIDEO_SUFFIXES)))})+$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class RowNote:
    """A row of the annotations that was left out or changed, and why. `row` names file and line, `split` is the published one."""

    row: str
    qid: str
    reason: str
    split: str = ""

    def to_json(self) -> dict[str, str]:
        """Return the JSON form."""
        return {"row": self.row, "qid": self.qid, "reason": self.reason, "split": self.split}


@dataclass(frozen=True, slots=True)
class ReadResult:
    """The annotations of a corpus: every row is a query, a moment of one, or is listed in `dropped`.

    The split of a query is the published one, or empty. `rows` names the row of each query by its qid; `durations_s`
    holds the annotated length of each video by its id, where the annotations give one; `num_rows` counts the rows read of
    each split. A row in `dropped` may be in `clipped` too: it was clipped first.
    """

    queries: tuple[Query, ...]
    rows: Mapping[str, str]
    durations_s: Mapping[str, float]
    dropped: tuple[RowNote, ...] = ()
    clipped: tuple[RowNote, ...] = ()
    num_rows: Mapping[str, int] = field(default_factory=dict)


class Reader(ABC):
    """Reads the annotations of one published format.

    `granularity_s` is the length of the segments that its times are rounded to: a last one may end that much after its
    video. `assumed_fps` is the frame rate at which a format that counts frames was turned into seconds; videos of another
    rate need a correction. `reannotated` maps a published split to the one whose videos it annotates again.
    """

    granularity_s: ClassVar[float] = 0.0
    assumed_fps: ClassVar[float | None] = None
    reannotated: ClassVar[Mapping[str, str]] = MappingProxyType({})

    @abstractmethod
    def read(self, root: Path) -> ReadResult:
        """Read the annotations below `root`; the videos are not needed.

        Raises:
            ValueError: naming file and line of each row that cannot be read.
        """

    def name_video(self, file_name: str) -> str:
        """Return the id of the video that a file or an annotation names: without the suffixes of video files."""
        return _SUFFIXES_AT_END.sub("", file_name) or file_name

    def find_videos(self, root: Path) -> dict[str, str]:
        """Return the path relative to `root` of each video file, by video id: `videos/<id>.<any video suffix>`.

        Raises:
            ValueError: when two files have one id.
        """
        found: dict[str, str] = {}
        for path in sorted((root / VIDEOS).glob("*")):
            if not is_video_name(path):
                continue
            video_id = self.name_video(path.name)
            if video_id in found:
                raise ValueError(f"{root / found[video_id]} and {path.name} are both the video {video_id!r}; remove one")
            found[video_id] = f"{VIDEOS}/{path.name}"
        return found


class ReaderParams(Params, ABC):
    """Schema shared by all readers."""

    @abstractmethod
    def build(self) -> Reader:
        """Return the reader."""
