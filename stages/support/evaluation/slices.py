"""Slices of a table: the same figures on the queries that share a tag, a length or a place in the video."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from corpus.moments import Floats
from corpus.text import tokenize
from models.metrics.spans import Bools
from models.metrics.tan2d import MEAN_IOU
from stages.support.evaluation.questions import Questions
from stages.support.evaluation.tables import FLOORS, HEADLINE, LOCALIZER, Row, Scoring, round_estimate

_MAX_VALUES = 24  # of a tag; one with more values (an id, say) is no slice


class Slice(NamedTuple):
    """The queries that share a value of a property."""

    group: str
    value: str
    rows: Bools  # (Q,)


def list_slices(questions: Questions) -> list[Slice]:
    """Return the slices of a split that are not empty: moment length, position and words in thirds, then every tag."""
    first, last = questions.truth.spans[:, 0, 0], questions.truth.spans[:, 0, 1]  # (Q,) of the first true moment
    words = np.array([len(tokenize(query.text)) for query in questions.queries], dtype=np.float64)
    measured = [
        *_slice_thirds("moment length", last - first, unit=" s"),
        *_slice_thirds("position", (first + last) / 2 / questions.durations_s, unit=" of the video"),
        *_slice_thirds("query length", words, unit=" words"),
    ]
    return [one for one in [*measured, *_slice_tags(questions)] if one.rows.any()]


def _slice_thirds(group: str, values: Floats, *, unit: str) -> Iterator[Slice]:
    """Cut at the 1/3 and 2/3 quantiles; equal values stay together, so thirds of whole numbers can be uneven."""
    low, high = (float(edge) for edge in np.quantile(values, [1 / 3, 2 / 3]))
    yield Slice(group, f"up to {low:.3g}{unit}", values <= low)
    yield Slice(group, f"{low:.3g} to {high:.3g}{unit}", (values > low) & (values <= high))
    yield Slice(group, f"above {high:.3g}{unit}", values > high)


def _slice_tags(questions: Questions) -> Iterator[Slice]:
    for tag in sorted({tag for query in questions.queries for tag in query.tags}):
        found = np.array([query.tags.get(tag, "") for query in questions.queries])
        values = sorted(set(found) - {""}, key=_order_value)
        if len(values) > _MAX_VALUES:
            continue
        for value in values:
            yield Slice(tag, str(value), found == value)


def _order_value(value: str) -> tuple[float, str]:
    """Numbers come in their own order, words after them."""
    try:
        return float(value), value
    except ValueError:
        return float("inf"), value


def score_slices(rows: Mapping[str, Row], questions: Questions, scoring: Scoring) -> list[dict[str, Any]]:
    """Return one line per slice: the rows of `slices.csv`, with the localizer's interval and the best floor on that slice."""
    ours = rows[LOCALIZER].figures
    assert ours is not None
    floors = [figures for name in FLOORS if (figures := rows[name].figures) is not None]
    lines = []
    for one in list_slices(questions):
        estimates = scoring.estimate({name: ours[name] for name in (HEADLINE, MEAN_IOU)}, questions, one.rows)
        headline = round_estimate(estimates[HEADLINE])
        lines.append(
            {
                "slice": one.group,
                "value": one.value,
                "label": f"{one.group}: {one.value}",
                "queries": int(one.rows.sum()),
                "videos": len(np.unique(questions.video_index[one.rows])),
                HEADLINE: headline["value"],
                f"{HEADLINE}_low": headline["low"],
                f"{HEADLINE}_high": headline["high"],
                MEAN_IOU: round_estimate(estimates[MEAN_IOU])["value"],
                "best_floor": round(max(float(figures[HEADLINE][one.rows].mean()) for figures in floors), 6),
            }
        )
    return lines
