"""Reads KPF, the YAML of VIRAT and MEVA: turns activities of typed actors, in frames, into sentences by a template.

`<clip>.activities.yml` and `<clip>.types.yml` (or `<clip>-activities.yml`) may lie in any folder below the root. A folder
named train, val (validate, validation) or test gives the split of its clips. Geometry is not read, because sentences name
no place. An activity of the frames [first, last] is [first, last + 1) / frame rate. KPF does not state the rate: the reader
assumes 30 per second, as in MEVA, and `ingest` corrects the times by the real rate of each video. Activities of one clip
with the same sentence are the windows of one query; overlapping windows are merged.
An activity that ends before it starts is dropped. A malformed record, or a clip annotated twice, is an error. The name of a
video may contain MEVA's release: `<clip>.r13.avi`.
Source: KPF specification, version 4 (Kitware); MEVA: Corona et al. 2021 (arXiv:2012.00914).
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

from pydantic import BaseModel, Field
from tqdm import tqdm

from corpus.moments import Moment
from corpus.readers.base import VIDEOS, Reader, ReaderParams, ReadResult
from corpus.readers.parsing.activity_template import write_sentence
from corpus.readers.parsing.collector import Collector
from corpus.readers.parsing.schema import parse_row, show
from corpus.readers.parsing.strict_yaml import iter_records
from corpus.records import TEST, TRAIN, VALIDATION, Query

_FPS = 30.0
_ACTIVITIES = re.compile(r"(?P<clip>.+)(?P<joint>[.-])activities\.ya?ml")
_RELEASE = re.compile(r"\.r[0-9]+$")
_ACT, _OBJECT = re.compile(r"act[0-9]+"), re.compile(r"cset[0-9]+|obj_type")
_NUMBER = re.compile(r"[0-9]*\.?[0-9]+(?:[eE][+-]?[0-9]+)?|[0-9]+\.")
_SPLIT_FOLDERS = {"train": TRAIN, "val": VALIDATION, "validate": VALIDATION, "validation": VALIDATION, "test": TEST}
_ORIGIN = "it is in the annotations of MEVA (mevadata.org) or VIRAT (viratdata.org)"

Frame = Annotated[int, Field(ge=0, le=10**9)]


class _Timespan(BaseModel):
    tsr0: tuple[Frame, Frame]


class _Actor(BaseModel):
    id1: str


class _Act(BaseModel):
    timespan: list[_Timespan] = Field(min_length=1)
    actors: list[_Actor] = []


class _Clip(NamedTuple):
    """The annotation files of one clip."""

    video_id: str
    split: str
    activities: Path
    types: Path


class _Activity(NamedTuple):
    """A sentence and the frames [first, end) in which it is true."""

    line: int
    sentence: str
    frames: list[tuple[int, int]]


class KPFReader(Reader):
    """Reads activities of clips in KPF."""

    assumed_fps: ClassVar = _FPS

    def read(self, root: Path) -> ReadResult:
        """Read every clip that has activities."""
        collector = Collector(root)
        clips = self._find_clips(root)
        for clip in tqdm(clips, desc="read", unit="clip", disable=len(clips) < 100):
            _read_clip(collector, root, clip)
        return collector.finish(empty=f"the activity files in {root} hold no activities")

    def name_video(self, file_name: str) -> str:
        """Return the clip id from a file name: without suffix and release."""
        return _RELEASE.sub("", super().name_video(file_name))

    def _find_clips(self, root: Path) -> list[_Clip]:
        clips: dict[str, _Clip] = {}
        for path in sorted(root.rglob("*activities.y*ml")):
            match = _ACTIVITIES.fullmatch(path.name)
            if not match or path.relative_to(root).parts[0] == VIDEOS:
                continue
            video_id = self.name_video(match["clip"])
            if video_id in clips:
                raise ValueError(f"{clips[video_id].activities} and {path} both annotate {video_id!r}; remove one")
            types = path.with_name(f"{match['clip']}{match['joint']}types{path.suffix}")
            folders = path.relative_to(root).parent.parts
            split = next((_SPLIT_FOLDERS[name] for name in reversed(folders) if name in _SPLIT_FOLDERS), "")
            clips[video_id] = _Clip(video_id, split, path, types)
        if not clips:
            raise ValueError(f"{root} holds no <clip>.activities.yml; {_ORIGIN}")
        return list(clips.values())


class KPFParams(ReaderParams):
    """Empty schema: the reader has no values."""

    name: Literal["kpf"]

    def build(self) -> Reader:
        """Return the reader."""
        return KPFReader()


def _read_clip(collector: Collector, root: Path, clip: _Clip) -> None:
    activities: dict[str, list[_Activity]] = defaultdict(list)  # by sentence
    for activity in _iter_activities(collector, root, clip):
        activities[activity.sentence].append(activity)
    file = clip.activities.relative_to(root)
    for number, (sentence, found) in enumerate(activities.items(), start=1):
        row = f"{file} {'lines' if len(found) > 1 else 'line'} {', '.join(str(activity.line) for activity in found)}"
        frames = _join([span for activity in found for span in activity.frames])
        moments = tuple(Moment(first / _FPS, end / _FPS) for first, end in frames)
        query = Query(f"{clip.video_id}-{number}", clip.video_id, sentence, moments, split=clip.split, source="generated")
        with collector.reading(row):
            collector.add(query, row, num_rows=len(found))


def _iter_activities(collector: Collector, root: Path, clip: _Clip) -> Iterator[_Activity]:
    types = dict(_iter_types(collector, root, clip.types))
    for line, record in iter_records(clip.activities, origin=_ORIGIN):
        row = f"{clip.activities.relative_to(root)} line {line}"
        with collector.reading(row):
            body = _unwrap(record, "act")
            if body is None:
                continue
            sentence, spans = _parse_activity(body, types)
            if any(first > last for first, last in spans):
                shown = ", ".join(f"frames {first} to {last}" for first, last in spans)
                collector.drop(row, "", f"it ends before it starts: {shown}", clip.split)
            else:
                yield _Activity(line, sentence, [(first, last + 1) for first, last in spans])


def _iter_types(collector: Collector, root: Path, path: Path) -> Iterator[tuple[str, str]]:
    for line, record in iter_records(path, origin=_ORIGIN):
        with collector.reading(f"{path.relative_to(root)} line {line}"):
            body = _unwrap(record, "types")
            if body is not None:
                found = next((value for key, value in body.items() if _OBJECT.fullmatch(key)), None)
                if "id1" not in body or not found:
                    raise ValueError(f"an object needs id1 and cset3 (or obj_type), got {show(body)}")
                yield str(body["id1"]), _choose_name(found)


def _unwrap(record: Any, key: str) -> Mapping[str, Any] | None:
    """Return the body of an activity or object, wrapped in a packet or bare; None for records about the file."""
    if isinstance(record, Mapping) and "meta" in record:
        return None
    body = record.get(key, record) if isinstance(record, Mapping) else record
    if not isinstance(body, Mapping):
        raise ValueError(f"a record must be {{{key}: {{...}}}} or {{meta: ...}}, got {show(record)}")
    return body


def _parse_activity(body: Mapping[str, Any], types: Mapping[str, str]) -> tuple[str, list[tuple[int, int]]]:
    names = next((value for key, value in body.items() if _ACT.fullmatch(key)), None)
    if not names:
        raise ValueError(f"an activity needs its name, act2, got {show(body)}")
    parsed = parse_row(_Act, body)
    sentence = write_sentence(_choose_name(names), [types[actor.id1] for actor in parsed.actors if actor.id1 in types])
    if not sentence:
        raise ValueError(f"the activity {show(names)} has no words")
    return sentence, [span.tsr0 for span in parsed.timespan]


def _choose_name(names: Any) -> str:
    """Return the name with the highest confidence from {name: confidence} or a set of names, or the single name."""
    if isinstance(names, str):
        return names
    if not isinstance(names, Mapping):
        raise ValueError(f"a name must be a text or {{name: confidence}}, got {show(names)}")
    confidences = {str(name): _parse_confidence(confidence) for name, confidence in names.items()}
    return max(confidences, key=lambda name: confidences[name])


def _parse_confidence(text: Any) -> float:
    if text in ("", "null", "~"):  # a set has no confidences
        return 1.0
    if not isinstance(text, str) or not _NUMBER.fullmatch(text):
        raise ValueError(f"a confidence must be a number, got {show(text)}")
    return float(text)


def _join(spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    joined: list[tuple[int, int]] = []
    for first, end in sorted(spans):
        if joined and first <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], end))
        else:
            joined.append((first, end))
    return joined
