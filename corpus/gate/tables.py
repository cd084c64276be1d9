"""The two tables of the data gate: one row per video, one row per query."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from corpus.files import read_jsonl
from corpus.gate.fields import (
    ANNOTATORS,
    FLAG,
    NUMBER,
    RATINGS,
    SPANS,
    SPANS_BY_VIDEO,
    TAGS,
    TEXT,
    WHOLE,
    Span,
    TypedRow,
    read_row,
)
from corpus.gate.language import count_broken_characters, find_script, guess_language
from corpus.text import tokenize

LINE = "line"  # in the file, from 1
KEYS = {"videos": "video_id", "queries": "qid"}  # table -> the column that names its rows
CONTEXT = {"videos": ("path",), "queries": ("video_id", "text")}  # columns that help people to recognise a row
_VIDEO_FIELDS = {
    **dict.fromkeys(("video_id", "path", "split", "codec", "sha256"), TEXT),
    **dict.fromkeys(("duration_s", "fps"), NUMBER),
    **dict.fromkeys(("num_frames", "width", "height", "rotation"), WHOLE),
    "has_audio": FLAG,
}
_OPTIONAL_VIDEO_FIELDS = {
    **dict.fromkeys(("frame_rate", "audio_codec"), TEXT),
    "audio_rate_hz": WHOLE,
    "audio_channels": WHOLE,
    "audio_peak_db": WHOLE,
}
_OF_A_FILE = ("path", "codec", "fps", "num_frames", "width", "height", "rotation", "has_audio")  # null without a file
_QUERY_FIELDS = {**dict.fromkeys(("qid", "video_id", "text", "split", "source"), TEXT), "spans": SPANS}
_OPTIONAL_QUERY_FIELDS = {"annotators": ANNOTATORS, "saliency": RATINGS, "elsewhere": SPANS_BY_VIDEO, "tags": TAGS}
_VIDEO_TYPES = {
    **{
        name: {TEXT: "str", FLAG: "boolean"}.get(kind, "float64")
        for name, kind in {**_VIDEO_FIELDS, **_OPTIONAL_VIDEO_FIELDS}.items()
    },
    **dict.fromkeys(("missing_fields", "wrong_types"), "str"),
    **dict.fromkeys((LINE, "num_queries", "splits_of_video", "splits_of_content"), "int64"),
    "frames_found_share": "float64",
}
_QUERY_TYPES = {
    **{name: "str" for name, kind in _QUERY_FIELDS.items() if kind == TEXT},
    **dict.fromkeys(("missing_fields", "wrong_types", "video_split", "sentence", "moments", "script", "language"), "str"),
    **dict.fromkeys((LINE, "num_words", "num_characters", "broken_characters", "num_moments"), "int64"),
    **dict.fromkeys(("splits_of_video", "other_moments_outside", "elsewhere_outside_split"), "int64"),
    **dict.fromkeys(("video_duration_s", "first_start_s", "last_end_s"), "float64"),
    **dict.fromkeys(("shortest_moment_s", "longest_moment_s", "script_share"), "float64"),
    "video_is_known": "boolean",
}


class CorpusTables(NamedTuple):
    """The content of `data/corpus/`, valid or not. Missing values are missing, never NaN."""

    videos: pd.DataFrame
    queries: pd.DataFrame


class _Videos(NamedTuple):
    """The facts about videos from the rows of both tables."""

    by_id: Mapping[str, Mapping[str, Any]]
    splits_of_id: Mapping[str, set[str]]
    splits_of_content: Mapping[str, set[str]]
    num_queries: Counter[str]


def load_tables(folder: Path) -> CorpusTables:
    """Read videos and queries without validation: the gate reports wrong rows, not the parser.

    Raises:
        ValueError: naming file and line, when a line is not a JSON object.
    """
    videos = [(line, _read_video(row)) for line, row in _read_objects(folder / "videos.jsonl")]
    queries = [
        (line, read_row(row, _QUERY_FIELDS, optional=_OPTIONAL_QUERY_FIELDS))
        for line, row in _read_objects(folder / "queries.jsonl")
    ]
    known = _collect([row.values for _, row in videos], [row.values for _, row in queries])
    return CorpusTables(
        _build_table((_describe_video(line, row, known) for line, row in videos), _VIDEO_TYPES),
        _build_table((_describe_query(line, row, known) for line, row in queries), _QUERY_TYPES),
    )


def _read_objects(path: Path) -> Iterable[tuple[int, Mapping[str, Any]]]:
    for line, row in read_jsonl(path):
        if not isinstance(row, dict):
            raise ValueError(f"{path} line {line} holds no JSON object; run: dvc repro --force ingest")
        yield line, row


def _read_video(row: Mapping[str, Any]) -> TypedRow:
    """Read the fields of a video. If only its features exist, all fields of the file are null."""
    if any(name not in row or row[name] is not None for name in _OF_A_FILE):
        return read_row(row, _VIDEO_FIELDS, optional=_OPTIONAL_VIDEO_FIELDS)
    known = {name: kind for name, kind in _VIDEO_FIELDS.items() if name not in _OF_A_FILE}
    return read_row(row, known, optional={**_VIDEO_FIELDS, **_OPTIONAL_VIDEO_FIELDS})


def _collect(videos: Sequence[Mapping[str, Any]], queries: Sequence[Mapping[str, Any]]) -> _Videos:
    of_id, of_content = defaultdict[str, set[str]](set), defaultdict[str, set[str]](set)
    for row in (*videos, *queries):
        of_id[row["video_id"]].add(row["split"])
    for row in videos:
        of_content[row["sha256"]].add(row["split"])
    return _Videos({row["video_id"]: row for row in videos}, of_id, of_content, Counter(row["video_id"] for row in queries))


def _build_table(rows: Iterable[Mapping[str, Any]], types: Mapping[str, str]) -> pd.DataFrame:
    listed = list(rows)
    return pd.DataFrame({name: pd.Series([row[name] for row in listed], dtype=kind) for name, kind in types.items()})


def _describe_video(line: int, row: TypedRow, known: _Videos) -> dict[str, Any]:
    video = row.values
    due_frames = (video["duration_s"] or 0) * (video["fps"] or 0)
    return {
        **video,
        LINE: line,
        "missing_fields": row.missing or None,
        "wrong_types": row.wrong or None,
        "num_queries": known.num_queries[video["video_id"]],
        "splits_of_video": len(known.splits_of_id[video["video_id"]]) if video["video_id"] else 1,
        "splits_of_content": len(known.splits_of_content[video["sha256"]]) if video["sha256"] else 1,
        "frames_found_share": (video["num_frames"] or 0) / due_frames if due_frames > 0 else None,
    }


def _describe_query(line: int, row: TypedRow, known: _Videos) -> dict[str, Any]:
    query = row.values
    video = known.by_id.get(query["video_id"], {})
    elsewhere: Mapping[str, Sequence[Span]] = query["elsewhere"] or {}
    others = [(query["video_id"], query["annotators"] or []), *elsewhere.items()]
    return {
        **{name: query[name] for name in ("qid", "video_id", "text", "split", "source")},
        LINE: line,
        "missing_fields": row.missing or None,
        "wrong_types": row.wrong or None,
        "video_is_known": bool(video),
        "video_split": video.get("split"),
        "video_duration_s": video.get("duration_s"),
        "splits_of_video": len(known.splits_of_id[query["video_id"]]) if query["video_id"] else 1,
        "elsewhere_outside_split": sum(known.by_id.get(name, {}).get("split") != query["split"] for name in elsewhere),
        "other_moments_outside": sum(_count_outside(spans, known.by_id.get(name)) for name, spans in others),
        **_describe_spans(query["spans"] or []),
        **_describe_sentence(query["text"] or ""),
    }


def _count_outside(spans: Iterable[Span], video: Mapping[str, Any] | None) -> int:
    """Count the spans that are not valid moments of a video. All spans of an unknown video count."""
    duration_s = (video or {}).get("duration_s") or 0.0
    return sum(not 0 <= start_s < end_s <= duration_s for start_s, end_s in spans)


def _describe_spans(spans: Sequence[Span]) -> dict[str, Any]:
    lengths_s = [end_s - start_s for start_s, end_s in spans]
    return {
        "num_moments": len(spans),
        "moments": "; ".join(f"{start_s:g}-{end_s:g}" for start_s, end_s in sorted(spans)),
        "first_start_s": min((start_s for start_s, _ in spans), default=None),
        "last_end_s": max((end_s for _, end_s in spans), default=None),
        "shortest_moment_s": min(lengths_s, default=None),
        "longest_moment_s": max(lengths_s, default=None),
    }


def _describe_sentence(text: str) -> dict[str, Any]:
    words = _split(text)
    script, share = find_script(text)
    return {
        "sentence": " ".join(words),
        "num_words": len(words),
        "num_characters": len(text),
        "broken_characters": count_broken_characters(text),
        "script": script,
        "script_share": share,
        "language": guess_language(words),
    }


def _split(text: str) -> list[str]:
    try:
        return tokenize(text)
    except ValueError:
        return []
