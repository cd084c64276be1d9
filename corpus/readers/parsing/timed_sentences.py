"""JSON format shared by ActivityNet Captions and TACoS: {video: {timestamps: [[start, end], ...], sentences: [...]}}."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from corpus.readers.base import Reader
from corpus.readers.parsing.collector import Collector, TimedSentence
from corpus.readers.parsing.schema import parse_row, show
from corpus.readers.parsing.text import read_json_file


class TimedSentences(BaseModel, ABC):
    """The sentences of one video with a pair of times each. Each corpus adds its fields and converts times to seconds."""

    model_config = ConfigDict(frozen=True)

    sentences: list[str]

    @property
    @abstractmethod
    def duration_s(self) -> float:
        """The length of the video in seconds."""

    @property
    @abstractmethod
    def moments_s(self) -> Sequence[tuple[float, float]]:
        """Start and end of each sentence in seconds."""


def find_file(root: Path, names: Sequence[str]) -> Path:
    """Return the file in `root` that has one of the names; without any, the path of the first name.

    Raises:
        ValueError: when several of them exist.
    """
    found = [root / name for name in names if (root / name).exists()]
    if len(found) > 1:
        raise ValueError(f"{' and '.join(map(str, found))} are two names of the same annotations; remove one")
    return found[0] if found else root / names[0]


def collect_videos(
    collector: Collector, path: Path, schema: type[TimedSentences], *, reader: Reader, split: str, origin: str
) -> None:
    """Pass the sentences of a file to the collector.

    Raises:
        ValueError: when the file is missing, not JSON, or not an object of videos.
    """
    content = read_json_file(path, origin=origin)
    if not isinstance(content, Mapping):
        raise ValueError(f"{path} must hold an object of videos, got {show(content)}")
    for video, values in content.items():
        row = f"{path.name} video {video!r}"
        with collector.reading(row):
            parsed = parse_row(schema, values)
            if len(parsed.moments_s) != len(parsed.sentences):
                raise ValueError(f"each sentence needs its times, got {len(parsed.moments_s)} and {len(parsed.sentences)}")
            _collect(collector, row, parsed, video_id=reader.name_video(video), split=split)


def _collect(collector: Collector, row: str, parsed: TimedSentences, *, video_id: str, split: str) -> None:
    collector.add_duration(video_id, parsed.duration_s)
    for number, ((start_s, end_s), text) in enumerate(zip(parsed.moments_s, parsed.sentences, strict=True), start=1):
        sentence = TimedSentence(f"{split}-{video_id}-{number}", video_id, text, start_s, end_s, split)
        with collector.reading(f"{row} sentence {number}"):
            collector.add_timed(sentence, f"{row} sentence {number}", duration_s=parsed.duration_s)
