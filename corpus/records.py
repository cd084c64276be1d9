"""The records that every annotation reader gives and every stage reads: videos and queries, one JSON object a line."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from corpus.files import read_jsonl, write_jsonl
from corpus.moments import Moment

TRAIN, VALIDATION, TEST = "train", "val", "test"


@dataclass(frozen=True, slots=True)
class Video:
    """One video of a corpus as it was probed. `path` is relative to the corpus folder; sizes are upright pixels.

    `frame_rate` is the exact average, such as "30000/1001", and `fps` its value. What is empty or 0 from `frame_rate` on
    is not known, or there is no sound.
    """

    video_id: str
    path: str
    split: str
    duration_s: float
    fps: float
    num_frames: int
    width: int
    height: int
    rotation: int
    codec: str
    has_audio: bool
    sha256: str
    frame_rate: str = ""
    audio_codec: str = ""
    audio_rate_hz: int = 0
    audio_channels: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form; `from_json` reads it back."""
        return asdict(self)

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> "Video":
        """Build a video from its JSON form."""
        return cls(**row)


@dataclass(frozen=True, slots=True)
class Query:
    """One sentence with the moments of one video where it is true.

    `split` is empty until `ingest` has chosen one for a corpus that publishes none. `annotators` holds each
    annotator's own spans where a corpus gives several; `saliency` maps an annotated clip (2 s, from 0) to its ratings;
    `elsewhere` holds the moments of other videos of the split where the sentence is true too, where the corpus knows
    them; `tags` are names for slicing results. `source` is "human", "generated" or "drawn".
    """

    qid: str
    video_id: str
    text: str
    spans: tuple[Moment, ...]
    split: str = ""
    annotators: tuple[tuple[Moment, ...], ...] = ()
    saliency: Mapping[int, tuple[float, ...]] = field(default_factory=dict)
    elsewhere: Mapping[str, tuple[Moment, ...]] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    source: str = "human"

    def __post_init__(self) -> None:
        """Refuse sentences without words and queries without moments."""
        if not any(character.isalnum() for character in self.text):
            raise ValueError(f"query {self.qid!r}: the sentence {self.text!r} has no words")
        if not self.spans:
            raise ValueError(f"query {self.qid!r}: no moment is given")

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form, without the fields that are empty; `from_json` reads it back."""
        row: dict[str, Any] = {"qid": self.qid, "video_id": self.video_id, "text": self.text, "split": self.split}
        row |= {"spans": _to_pairs(self.spans), "source": self.source}
        optional: dict[str, Any] = {
            "annotators": [_to_pairs(spans) for spans in self.annotators],
            "saliency": {str(clip): list(ratings) for clip, ratings in self.saliency.items()},
            "elsewhere": {video_id: _to_pairs(spans) for video_id, spans in self.elsewhere.items()},
            "tags": dict(self.tags),
        }
        return row | {key: value for key, value in optional.items() if value}

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> "Query":
        """Build a query from its JSON form."""
        return cls(
            qid=row["qid"],
            video_id=row["video_id"],
            text=row["text"],
            split=row["split"],
            spans=to_moments(row["spans"]),
            annotators=tuple(to_moments(spans) for spans in row.get("annotators", [])),
            saliency={int(clip): tuple(ratings) for clip, ratings in row.get("saliency", {}).items()},
            elsewhere={video_id: to_moments(spans) for video_id, spans in row.get("elsewhere", {}).items()},
            tags=row.get("tags", {}),
            source=row["source"],
        )


@dataclass(frozen=True, slots=True)
class Corpus:
    """What `ingest` found: the usable videos and their queries."""

    videos: tuple[Video, ...]
    queries: tuple[Query, ...]

    def of_split(self, split: str) -> "Corpus":
        """Return the videos and queries of one split."""
        return Corpus(
            videos=tuple(video for video in self.videos if video.split == split),
            queries=tuple(query for query in self.queries if query.split == split),
        )

    @property
    def splits(self) -> tuple[str, ...]:
        """The names of the splits, train, val and test first."""
        first = [TRAIN, VALIDATION, TEST]
        names = {video.split for video in self.videos}
        return tuple([name for name in first if name in names] + sorted(names - set(first)))


def to_moments(pairs: Iterable[Iterable[float]]) -> tuple[Moment, ...]:
    """Build moments from (start, end) pairs in seconds."""
    return tuple(Moment(float(start), float(end)) for start, end in pairs)


def _to_pairs(moments: Iterable[Moment]) -> list[list[float]]:
    return [[moment.start_s, moment.end_s] for moment in moments]


def save_corpus(corpus: Corpus, folder: Path) -> None:
    """Write `videos.jsonl` and `queries.jsonl`, in the order given."""
    write_jsonl(folder / "videos.jsonl", (video.to_json() for video in corpus.videos))
    write_jsonl(folder / "queries.jsonl", (query.to_json() for query in corpus.queries))


def load_corpus(folder: Path) -> Corpus:
    """Read what `save_corpus` wrote."""
    return Corpus(
        videos=tuple(Video.from_json(row) for _, row in read_jsonl(folder / "videos.jsonl")),
        queries=tuple(Query.from_json(row) for _, row in read_jsonl(folder / "queries.jsonl")),
    )
