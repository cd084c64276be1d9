"""Prediction files: one JSON object a line, in the line format of QVHighlights. Errors name the line and the qid.

Keys: qid; pred_relevant_windows ([[start, end, score], ...] in s, best first); pred_saliency_scores (one per clip of 2 s);
vid, which is compared with the truth's; and two extensions for searches over all videos: pred_collection_moments
([[vid, start, end, score], ...], best first) and pred_videos ([vid, ...], best first). Other keys are ignored.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from corpus.annotations import name_some
from corpus.moments import Floats, RankedMoment
from corpus.readers.parsing.schema import show
from corpus.readers.parsing.text import iter_lines, parse_json, read_text

T = TypeVar("T")


@dataclass(frozen=True)
class Prediction:
    """One line of a file. Missing keys are None."""

    qid: str
    place: str  # line and qid, for messages
    video_id: str | None
    windows: Floats | None  # (K, 3) start_s, end_s, score
    saliency: Floats | None  # (P,)
    moments: tuple[RankedMoment, ...] | None
    videos: tuple[str, ...] | None


def read_predictions(path: Path) -> list[Prediction]:
    """Read every line; the error names all invalid lines together.

    Raises:
        ValueError: naming line and qid of invalid lines, or when there is no line.
    """
    found: dict[str, Prediction] = {}
    errors: list[str] = []
    for number, line in iter_lines(read_text(path, origin="give the file of predictions, one JSON object a line")):
        place = f"line {number}"
        try:
            prediction = _parse(line, place)
            if prediction.qid in found:
                raise ValueError(f"{prediction.place}: {found[prediction.qid].place} is about this qid too; keep one of them")
        except ValueError as error:
            errors.append(str(error))
            continue
        found[prediction.qid] = prediction
    if errors:
        raise ValueError(f"{path} cannot be scored:\n{name_some(errors, separator=chr(10))}")
    if not found:
        raise ValueError(f"{path} holds no predictions; write one JSON object a line")
    return list(found.values())


def _parse(line: str, place: str) -> Prediction:
    try:
        row = parse_json(line)
        if not isinstance(row, dict):
            raise ValueError(f"it must be a JSON object, got {show(row)}")
        qid = row.get("qid")
        if type(qid) not in (str, int):
            raise ValueError(f"qid must be a text or a whole number, got {show(qid)}")
        place = f"{place} (qid {qid})"
        video_id = row.get("vid")
        return Prediction(
            qid=str(qid),
            place=place,
            video_id=None if video_id is None else str(video_id),
            windows=_read(row, "pred_relevant_windows", _read_windows),
            saliency=_read(row, "pred_saliency_scores", _read_numbers),
            moments=_read(row, "pred_collection_moments", _read_moments),
            videos=_read(row, "pred_videos", _read_names),
        )
    except ValueError as error:
        raise ValueError(f"{place}: {error}") from error


def _read(row: dict[str, Any], key: str, read: Callable[[list[Any]], T]) -> T | None:
    if key not in row:
        return None
    if not isinstance(row[key], list):
        raise ValueError(f"{key} must be a list, got {show(row[key])}")
    if not row[key]:
        raise ValueError(f"{key} is empty; every query needs an answer to be scored")
    try:
        return read(row[key])
    except ValueError as error:
        raise ValueError(f"{key}: {error}") from error


def _read_windows(values: list[Any]) -> Floats:
    return np.array([_read_window(value) for value in values])


def _read_window(value: Any) -> list[float]:
    if not isinstance(value, list) or len(value) < 3:
        raise ValueError(f"a window must be [start, end, score], got {show(value)}")
    return [_read_number(number) for number in value[:3]]


def _read_numbers(values: list[Any]) -> Floats:
    return np.array([_read_number(value) for value in values])


def _read_number(value: Any) -> float:
    """Return a finite number as a float; booleans are not numbers."""
    if type(value) not in (int, float) or not _is_finite(value):
        raise ValueError(f"every value must be a finite number, got {show(value)}")
    return float(value)


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number beyond the largest float
        return False


def _read_moments(values: list[Any]) -> tuple[RankedMoment, ...]:
    for value in values:
        if not isinstance(value, list) or len(value) < 4 or not isinstance(value[0], str):
            raise ValueError(f"a moment must be [vid, start, end, score], got {show(value)}")
    return tuple(RankedMoment(value[0], *map(_read_number, value[1:4])) for value in values)


def _read_names(values: Iterable[Any]) -> tuple[str, ...]:
    names = tuple(values)
    for name in names:
        if not isinstance(name, str):
            raise ValueError(f"a video must be a text, got {show(name)}")
    if len(set(names)) < len(names):
        raise ValueError("a video is listed twice")
    return names
