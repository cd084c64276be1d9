"""Scores answers and their floors: per-query figures, means with intervals, the recall curve, slices, and their files' rows.

Letters: Q queries, M cells of the grid.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from corpus.moments import Floats
from evaluation.questions import Questions
from models.metrics.convention import Figures
from models.metrics.floors import scale_unit_spans
from models.metrics.intervals import Estimate, estimate_means, subtract_figures
from models.metrics.spans import Bools, RankedSpans
from models.metrics.tan2d import MEAN_IOU, Tan2dConvention, name_recall

HEADLINE = name_recall(1, 0.5)
LOCALIZER = "localizer"
FLOORS = ("chance", "prior", "whole_video", "blind", "shuffled")
_INTERVALS = {f"{name}_{end}" for name in (HEADLINE, MEAN_IOU, "R10") for end in ("low", "high")}
CURVE_THRESHOLDS = tuple(round(0.05 * step, 2) for step in range(1, 20))


@dataclass(frozen=True)
class Row:
    """One line of a table. Chance has figures but no answers; a floor that cannot be computed says why."""

    name: str
    figures: Figures | None = None
    answers: RankedSpans | None = None
    reason: str = ""


@dataclass(frozen=True)
class Scoring:
    """Settings of the figures and their intervals."""

    convention: Tan2dConvention
    unit_cells: Floats  # (M, 2) candidates of chance, as fractions of the duration
    bootstrap_samples: int
    seed: int
    seen: frozenset[tuple[str, ...]] = frozenset()  # combinations in the training split

    def estimate(self, figures: Figures, questions: Questions, rows: Bools | None = None) -> dict[str, Estimate]:
        """Return means with intervals, over all queries or the chosen ones."""
        chosen = np.ones(len(questions), dtype=bool) if rows is None else rows
        part = {name: values[chosen] for name, values in figures.items()}
        videos = questions.video_index[chosen]
        return estimate_means(part, videos, num_samples=self.bootstrap_samples, seed=self.seed)


def score_rows(answers: Mapping[str, RankedSpans | str], questions: Questions, scoring: Scoring) -> dict[str, Row]:
    """Score the answers of the localizer and of each floor; a string in place of answers says why there are none."""
    rows = {}
    for name, given in answers.items():
        if isinstance(given, str):
            rows[name] = Row(name, reason=given)
        else:
            found = given.widen()
            rows[name] = Row(name, scoring.convention.compute_figures(found, questions.truth), found)
    candidates = scale_unit_spans(scoring.unit_cells, questions.durations_s)  # (Q, M, 2)
    rows["chance"] = Row("chance", scoring.convention.compute_chance(candidates, questions.truth))
    return {name: rows[name] for name in (LOCALIZER, *FLOORS) if name in rows}


def find_best_floor(rows: Mapping[str, Row]) -> str:
    """Return the floor with the highest R@1 at IoU 0.5."""
    means = {name: figures[HEADLINE].mean() for name in FLOORS if (figures := rows[name].figures) is not None}
    return max(means, key=lambda name: float(means[name]))


def estimate_margin(rows: Mapping[str, Row], questions: Questions, scoring: Scoring) -> Estimate:
    """Return the margin of the localizer's R@1 at IoU 0.5 over its best floor's, with the paired interval."""
    ours, floor = rows[LOCALIZER].figures, rows[find_best_floor(rows)].figures
    assert ours is not None
    assert floor is not None
    return scoring.estimate(subtract_figures(ours, floor), questions)[HEADLINE]


def compute_curve(rows: Mapping[str, Row], questions: Questions, scoring: Scoring) -> list[dict[str, Any]]:
    """Return R@1 against the IoU threshold: one row per threshold, one column per line of the table, None if it is missing."""
    convention = replace(scoring.convention, ranks=(1,), thresholds=CURVE_THRESHOLDS)
    columns: dict[str, Figures] = {}
    for name, row in rows.items():
        if row.answers is not None:
            columns[name] = convention.compute_figures(row.answers, questions.truth)
    columns["chance"] = convention.compute_chance(scale_unit_spans(scoring.unit_cells, questions.durations_s), questions.truth)
    return [
        {"iou": threshold}
        | {name: round(float(columns[name][name_recall(1, threshold)].mean()), 6) if name in columns else None for name in rows}
        for threshold in CURVE_THRESHOLDS
    ]


def list_estimates(rows: Mapping[str, Row], questions: Questions, scoring: Scoring) -> list[dict[str, Any]]:
    """Return every figure of every line with its interval: the rows of `floors.csv`."""
    listed = []
    for name, row in rows.items():
        estimates = scoring.estimate(row.figures, questions) if row.figures is not None else {}
        for figure, estimate in estimates.items():
            listed.append({"row": name, "figure": figure, **round_estimate(estimate), "reason": ""})
        if not estimates:
            listed.append({"row": name, "figure": "", "value": None, "low": None, "high": None, "reason": row.reason})
    return listed


def round_estimate(estimate: Estimate) -> dict[str, float | None]:
    """Return value, low and high with six decimals; infinity becomes None."""
    return {key: round_figure(number) for key, number in estimate._asdict().items()}


def round_figure(number: float | None) -> float | None:
    """Return a number with six decimals, None if it is not finite."""
    return round(number, 6) + 0.0 if number is not None and np.isfinite(number) else None  # no negative zero


def flatten_estimates(estimates: Mapping[str, Estimate]) -> dict[str, float | None]:
    """Return `name`, `name_low`, `name_high` for every figure: the form of `metrics.json`."""
    flat: dict[str, float | None] = {}
    for name, estimate in estimates.items():
        rounded = round_estimate(estimate)
        flat |= {name: rounded["value"], f"{name}_low": rounded["low"], f"{name}_high": rounded["high"]}
    return flat


def summarise(rows: Mapping[str, Row], questions: Questions, scoring: Scoring) -> dict[str, Any]:
    """Return one split's group of `summary.json`: the localizer with intervals, the floors' values, the margin."""
    ours = rows[LOCALIZER].figures
    assert ours is not None
    floors = {name: _list_means(rows[name], names=list(ours)) for name in FLOORS}
    return {
        "queries": len(questions),
        "videos": len(questions.videos),
        LOCALIZER: flatten_estimates(scoring.estimate(ours, questions)),
        "floors": floors,
        "best_floor": find_best_floor(rows),
    } | flatten_estimates({"margin_over_best_floor": estimate_margin(rows, questions, scoring)})


def condense(group: Mapping[str, Any]) -> dict[str, Any]:
    """Return the figures of a group for `metrics.json`, few enough to compare runs in a terminal; `summary.json` has all.

    These are all figures of the localizer and of the collection, intervals of the leading ones, and two figures per floor.
    """
    kept = dict(group)
    kept.pop("qvhighlights", None)
    for part in (LOCALIZER, "collection"):
        if part in group:
            kept[part] = {
                key: value for key, value in group[part].items() if not key.endswith(("_low", "_high")) or key in _INTERVALS
            }
    if "floors" in group:
        kept["floors"] = {name: {key: row[key] for key in (HEADLINE, MEAN_IOU)} for name, row in group["floors"].items()}
    return kept


def _list_means(row: Row, *, names: list[str]) -> dict[str, Any]:
    if row.figures is None:
        return dict.fromkeys(names) | {"reason": row.reason}
    return {name: round(float(values.mean()), 6) for name, values in row.figures.items()}
