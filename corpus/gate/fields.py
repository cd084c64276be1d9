"""Tolerant reading of the fields of a row: typed values, plus the names of missing fields and of wrong types."""

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

Span = tuple[float, float]
_MAX_SHOWN = 60


class FieldType(NamedTuple):
    """The type of a field: `read` returns its value, or None for a value of another type."""

    description: str
    read: Callable[[Any], Any]


class TypedRow(NamedTuple):
    """The values of a row, None for fields that are missing or of a wrong type, and the names of these fields."""

    values: Mapping[str, Any]
    missing: str  # "fps, codec"; "" if none is
    wrong: str  # "duration_s: 'long' is not a number"


def read_row(row: Mapping[str, Any], fields: Mapping[str, FieldType], *, optional: Mapping[str, FieldType]) -> TypedRow:
    """Read the listed fields of a row; ignore other fields."""
    expected = {**fields, **optional}
    values = {name: None if row.get(name) is None else kind.read(row[name]) for name, kind in expected.items()}
    missing = [name for name in fields if row.get(name) is None or row[name] == ""]
    wrong = [
        f"{name}: {shorten(repr(row[name]))} is not {kind.description}"
        for name, kind in expected.items()
        if row.get(name) is not None and values[name] is None
    ]
    return TypedRow(values, ", ".join(missing), "; ".join(wrong))


def shorten(text: str) -> str:
    """Cut a text to 60 characters at most."""
    return text if len(text) <= _MAX_SHOWN else f"{text[: _MAX_SHOWN - 1]}…"


def _read_text(value: object) -> str | None:
    return value if isinstance(value, str) and not any("\ud800" <= letter <= "\udfff" for letter in value) else None


def _read_number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    number = math.inf if isinstance(value, int) and value.bit_length() > 1023 else float(value)
    return number if math.isfinite(number) else None


def _read_whole(value: object) -> float | None:
    return _read_number(value) if isinstance(value, int) else None


def _read_flag(value: object) -> bool | None:
    return value if isinstance(value, bool) else None


def _read_spans(value: object) -> list[Span] | None:
    if not isinstance(value, list):
        return None
    spans = [_read_span(span) for span in value]
    return None if None in spans else [span for span in spans if span is not None]


def _read_span(value: object) -> Span | None:
    if not isinstance(value, list) or len(value) != 2:
        return None
    start_s, end_s = map(_read_number, value)
    return None if start_s is None or end_s is None else (start_s, end_s)


def _read_annotators(value: object) -> list[Span] | None:
    """Return the spans of all annotators."""
    if not isinstance(value, list):
        return None
    spans = [_read_spans(one) for one in value]
    return None if None in spans else [span for one in spans for span in one or []]


def _read_spans_by_video(value: object) -> dict[str, list[Span]] | None:
    if not isinstance(value, dict):
        return None
    spans = {name: _read_spans(one) for name, one in value.items()}
    return None if None in spans.values() else {name: one or [] for name, one in spans.items()}


def _read_ratings(value: object) -> dict[str, Any] | None:
    rated = isinstance(value, dict) and all(
        clip.isdecimal() and isinstance(ratings, list) and None not in map(_read_number, ratings)
        for clip, ratings in value.items()
    )
    return value if rated and isinstance(value, dict) else None


def _read_tags(value: object) -> dict[str, str] | None:
    return value if isinstance(value, dict) and all(isinstance(tag, str) for tag in value.values()) else None


TEXT = FieldType("text", _read_text)
NUMBER = FieldType("a number", _read_number)
WHOLE = FieldType("a whole number", _read_whole)
FLAG = FieldType("true or false", _read_flag)
SPANS = FieldType("a list of [start, end] in seconds", _read_spans)
ANNOTATORS = FieldType("a list of lists of [start, end]", _read_annotators)
SPANS_BY_VIDEO = FieldType("a mapping of video ids to lists of [start, end]", _read_spans_by_video)
RATINGS = FieldType("a mapping of clip numbers to lists of ratings", _read_ratings)
TAGS = FieldType("a mapping of names to text", _read_tags)
