"""Reads a folder with `videos/` and `annotations.jsonl`, one query a line, in the line format of QVHighlights.

Keys: qid, vid, duration (s), query, relevant_windows ([[start, end], ...] in s); QVHighlights' relevant_clip_ids (clips
of 2 s) with saliency_scores; and our own split, tags, elsewhere ({vid: windows}), annotators ([windows, ...]), source.
Source: Lei et al. 2021 (arXiv:2107.09609).
"""

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, ValidationError

from corpus.files import read_jsonl
from corpus.readers.base import Reader, ReaderParams, ReadResult
from corpus.records import Query, to_moments

ANNOTATIONS = "annotations.jsonl"
_MAX_NAMED_ROWS = 20

Window = tuple[float, float]


class _Row(BaseModel):
    """One line. Keys that are not ours are allowed, unless they look like a misspelling of one that is."""

    model_config = ConfigDict(frozen=True)

    qid: str | int
    vid: str = Field(min_length=1)
    duration: PositiveFloat
    query: str
    relevant_windows: list[Window]
    relevant_clip_ids: list[int] = []
    saliency_scores: list[list[float]] = []
    split: str = ""
    tags: dict[str, str] = {}
    elsewhere: dict[str, list[Window]] = {}
    annotators: list[list[Window]] = []
    source: str = "human"

    def to_query(self) -> Query:
        if len(self.relevant_clip_ids) != len(self.saliency_scores):
            lengths = f"{len(self.relevant_clip_ids)} relevant_clip_ids, {len(self.saliency_scores)} saliency_scores"
            raise ValueError(f"each clip needs its scores, got {lengths}")
        return Query(
            qid=str(self.qid),
            video_id=self.vid,
            text=self.query,
            spans=to_moments(self.relevant_windows),
            split=self.split,
            annotators=tuple(to_moments(windows) for windows in self.annotators),
            saliency={clip: tuple(scores) for clip, scores in zip(self.relevant_clip_ids, self.saliency_scores, strict=True)},
            elsewhere={video_id: to_moments(windows) for video_id, windows in self.elsewhere.items()},
            tags=self.tags,
            source=self.source,
        )


class FolderReader(Reader):
    """Reads `annotations.jsonl`."""

    def read(self, root: Path) -> ReadResult:
        """Read every line; all wrong ones are named together."""
        path = root / ANNOTATIONS
        if not path.is_file():
            raise ValueError(f"{path} does not exist; put videos/ and {ANNOTATIONS} into {root}/")
        queries: dict[str, Query] = {}
        rows: dict[str, str] = {}
        durations_s: dict[str, float] = {}
        errors: list[str] = []
        for number, content in read_jsonl(path):
            try:
                row = _parse(content)
                query = row.to_query()
                if query.qid in queries:
                    raise ValueError(f"the qid {query.qid!r} is that of {rows[query.qid]} too; give each query its own")
            except ValueError as error:
                errors.append(f"{path} line {number}: {error}")
                continue
            queries[query.qid], rows[query.qid] = query, f"{ANNOTATIONS} line {number}"
            durations_s.setdefault(query.video_id, row.duration)
        _raise_if_any(errors)
        if not queries:
            raise ValueError(f"empty corpus: {path} holds no queries; write one JSON object a line")
        return ReadResult(tuple(queries.values()), rows, durations_s)


class FolderReaderParams(ReaderParams):
    """The folder reader has no values of its own."""

    name: Literal["folder"] = "folder"

    def build(self) -> Reader:
        """Return the reader."""
        return FolderReader()


def _parse(content: Any) -> _Row:
    if not isinstance(content, Mapping):
        raise ValueError(f"a line must be a JSON object, got {content!r}")
    known = list(_Row.model_fields)
    for key in content.keys() - set(known):
        if similar := difflib.get_close_matches(key, known, n=1, cutoff=0.8):
            raise ValueError(f"unknown key {key!r}; is {similar[0]!r} meant?")
    try:
        return _Row.model_validate(content)
    except ValidationError as error:
        raise ValueError("; ".join(_describe(problem) for problem in error.errors())) from error


def _describe(problem: Any) -> str:
    key = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "missing":
        return f"the key {key!r} is missing"
    return f"{key} = {problem['input']!r}: {problem['msg']}"


def _raise_if_any(errors: list[str]) -> None:
    if not errors:
        return
    more = f"\n... and {len(errors) - _MAX_NAMED_ROWS} more" if len(errors) > _MAX_NAMED_ROWS else ""
    raise ValueError("\n".join(errors[:_MAX_NAMED_ROWS]) + more)
