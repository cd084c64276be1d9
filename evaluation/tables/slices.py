"""Slices of a table: the same figures on the queries that share a tag, a length or a place in the video."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence, Set
from typing import Any, NamedTuple

import numpy as np

from corpus.moments import Floats
from corpus.text import tokenize
from evaluation.questions import Questions
from evaluation.tables.scores import FLOORS, HEADLINE, LOCALIZER, Row, Scoring, round_estimate
from evaluation.wording import VERB_TAGS, find_combination, find_verb
from models.metrics.spans import Bools
from models.metrics.tan2d import MEAN_IOU

_MAX_VALUES = 24  # of a tag; a tag with more values, such as an id, makes no slices


class Slice(NamedTuple):
    """The queries that share a value of a property."""

    group: str
    value: str
    rows: Bools  # (Q,)


def list_slices(questions: Questions, seen: Set[tuple[str, ...]]) -> list[Slice]:
    """Return the slices of a split that are not empty.

    First come moment length, position and number of words, each in thirds. Then follow the verb, whether training lacks the
    combination of a sentence, and every tag.
    """
    first, last = questions.truth.spans[:, 0, 0], questions.truth.spans[:, 0, 1]  # (Q,) of the first true moment
    words = np.array([len(tokenize(query.text)) for query in questions.queries], dtype=np.float64)
    measured = [
        *_slice_thirds("moment length", last - first, unit=" s"),
        *_slice_thirds("position", (first + last) / 2 / questions.durations_s, unit=" of the video"),
        *_slice_thirds("query length", words, unit=" words"),
    ]
    verbs = [find_verb(query) for query in questions.queries]
    combinations = [find_combination(query) for query in questions.queries]
    novelty = ["" if not one else "no" if one in seen else "yes" for one in combinations]
    worded = [*_slice_values("verb", _group_rare(verbs)), *_slice_values("unseen combination", novelty if seen else [])]
    return [one for one in [*measured, *worded, *_slice_tags(questions)] if one.rows.any()]


def _slice_thirds(group: str, values: Floats, *, unit: str) -> Iterator[Slice]:
    """Cut at the 1/3 and 2/3 quantiles; equal values stay together, so thirds of whole numbers can be uneven."""
    low, high = (float(edge) for edge in np.quantile(values, [1 / 3, 2 / 3]))
    yield Slice(group, f"up to {low:.3g}{unit}", values <= low)
    yield Slice(group, f"{low:.3g} to {high:.3g}{unit}", (values > low) & (values <= high))
    yield Slice(group, f"above {high:.3g}{unit}", values > high)


def _slice_tags(questions: Questions) -> Iterator[Slice]:
    tags = {tag for query in questions.queries for tag in query.tags} - VERB_TAGS
    for tag in sorted(tags):
        found = [query.tags.get(tag, "") for query in questions.queries]
        if len(set(found) - {""}) <= _MAX_VALUES:
            yield from _slice_values(tag, found)


def _slice_values(group: str, values: Sequence[str]) -> Iterator[Slice]:
    """Make a slice of each value; a query with an empty value is in no slice."""
    for value in sorted(set(values) - {""}, key=_order_value):
        yield Slice(group, value, np.array([one == value for one in values]))


def _group_rare(values: Sequence[str]) -> list[str]:
    """Replace all but the most frequent values by "other", so that a table can show them all."""
    frequent = {value for value, _ in Counter(filter(None, values)).most_common(_MAX_VALUES)}
    return [value if not value or value in frequent else "other" for value in values]


def _order_value(value: str) -> tuple[float, str]:
    """Return a sort key that puts numbers in their own order, and words after them."""
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
    for one in list_slices(questions, scoring.seen):
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
