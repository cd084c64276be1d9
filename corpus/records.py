"""Records of a corpus: videos and queries, one JSON object per line. Readers produce them and stages read them."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from corpus.files import read_jsonl, write_jsonl
from corpus.media_info import MediaInfo
from corpus.moments import Moment

TRAIN, VALIDATION, TEST = "train", "val", "test"
GATE = "gate"  # judges challengers against the champion; nothing is learned or chosen on it


@dataclass(frozen=True, slots=True, kw_only=True)
class Video(MediaInfo):
    """One video of a corpus: the facts of its file, its place in the corpus, and the hash of its content.

    `path` is relative to the corpus folder, or None if only features of the video exist. `sha256` is the hash of the file, or
    of the feature arrays.
    """

    video_id: str
    path: str | None
    split: str
    sha256: str

    def locate(self, media_dir: Path) -> Path:
        """Return the path of the file; `media_dir` is the corpus folder.

        Raises:
            ValueError: when only features of the video exist.
        """
        if self.path is None:
            raise ValueError(
                f"video {self.video_id!r} has no file: the corpus was ingested from feature files; "
                "choose corpus.features in params.yaml and run: dvc repro ingest"
            )
        return media_dir / self.path

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form: null for unknown facts, and no key for damage and notes of an intact file."""
        row = {key: getattr(self, key) for key in _VIDEO_KEYS}
        return {key: value for key, value in row.items() if key not in _IF_ANY or value or value is None}

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> "Video":
        """Build a video from its JSON form.

        Raises:
            TypeError: when a field is missing or unknown.
            ValueError: when a fact is 0 or "", which older versions wrote for unknown facts.
        """
        return cls(**{"num_damaged": 0, "num_damaged_audio": 0, **row, "notes": tuple(row.get("notes", ()))})


_MEDIA_KEYS = tuple(one.name for one in fields(MediaInfo))
_LATER = _MEDIA_KEYS.index("frame_rate")
_VIDEO_KEYS = ("video_id", "path", "split", *_MEDIA_KEYS[:_LATER], "sha256", *_MEDIA_KEYS[_LATER:])  # the order in files
_IF_ANY = ("num_damaged", "num_damaged_audio", "notes")


@dataclass(frozen=True, slots=True)
class Query:
    """One sentence with the moments of one video in which it is true.

    `split` is empty until `ingest` has chosen one for a corpus that publishes none. `annotators` holds the spans of each
    annotator, if the corpus has several. `saliency` maps an annotated clip (2 s, from 0) to its ratings. `elsewhere` holds
    moments in other videos of the split in which the sentence is true too, if the corpus knows them. `tags` are names for
    slicing results. `source` is "human", "generated" or "drawn".
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
        """Return the JSON form without empty fields; `from_json` reads it back."""
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
    """An ingested corpus: the usable videos and their queries."""

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
    """Read what `save_corpus` wrote.

    Raises:
        ValueError: naming file and line of a video with fields of another version. Older versions wrote 0 and "" for
            unknown facts; such files are refused, because a 0 does not tell whether the fact was known.
    """
    return Corpus(
        videos=tuple(_read_videos(folder / "videos.jsonl")),
        queries=tuple(Query.from_json(row) for _, row in read_jsonl(folder / "queries.jsonl")),
    )


def _read_videos(path: Path) -> Iterator[Video]:
    for line, row in read_jsonl(path):
        try:
            yield Video.from_json(row)
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"{path} line {line} is not a video of this version: {error}; run: dvc repro --force ingest"
            ) from error
