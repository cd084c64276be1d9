"""Compares two systems query by query: folders that `evaluate` wrote, revisions with such a folder, or prediction files."""

import csv
import io
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from corpus.annotations import name_some
from evaluation.scoring.conventions import FileConvention
from evaluation.scoring.ground_truth import GroundTruth
from evaluation.scoring.pairing import pair
from evaluation.scoring.prediction_files import read_predictions
from models.metrics.convention import Figures
from models.metrics.intervals import Comparison, compare_means

FIGURES = "figures.csv"  # of an evaluation: one row per query


@dataclass(frozen=True)
class Scored:
    """The figures of one system, one value per query."""

    name: str
    videos: Mapping[str, str]  # the video of each qid, in the order of the figures
    figures: Figures

    def take(self, qids: list[str]) -> Figures:
        """Return the figures of the chosen queries."""
        place = {qid: row for row, qid in enumerate(self.videos)}
        rows = np.array([place[qid] for qid in qids], dtype=np.int64)
        return {name: values[rows] for name, values in self.figures.items()}


def read_evaluation(folder: Path) -> Scored:
    """Read the figures of every query from a folder that `evaluate` wrote.

    Raises:
        ValueError: when they are missing, naming the command that makes them.
    """
    path = folder / FIGURES
    if not path.is_file():
        raise ValueError(f"{folder} has no {FIGURES}; give a folder that evaluate wrote (dvc repro evaluate), or a JSONL file")
    return parse_evaluation(path.read_text(encoding="utf-8"), name=str(folder))


def parse_evaluation(content: str, *, name: str) -> Scored:
    """Read the rows of `figures.csv`.

    Raises:
        ValueError: when there are none.
    """
    rows = list(csv.DictReader(io.StringIO(content)))
    if not rows:
        raise ValueError(f"{name}: {FIGURES} holds no queries")
    names = [column for column in rows[0] if column not in ("qid", "video_id")]
    figures = {column: np.array([float(row[column] or "nan") for row in rows]) for column in names}
    return Scored(name, {row["qid"]: row["video_id"] for row in rows}, figures)


def score_file(path: Path, truth: GroundTruth, convention: FileConvention, *, shared_only: bool) -> Scored:
    """Score a prediction file under a convention."""
    pairs = pair(truth, read_predictions(path), shared_only=shared_only)
    figures = {f"{convention.prefix}{name}": values for name, values in convention.score(pairs).items()}
    return Scored(str(path), {query.qid: query.video_id for query in pairs.queries}, figures)


@dataclass(frozen=True)
class Contest:
    """The outcome of a comparison on Q queries of V videos."""

    left: str
    right: str
    num_queries: int
    num_videos: int
    figures: Mapping[str, Comparison]

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form, with six decimals; None for a missing figure or interval."""
        return {
            "left": self.left,
            "right": self.right,
            "queries": self.num_queries,
            "videos": self.num_videos,
            "figures": {name: _round(one) for name, one in self.figures.items()},
        }

    def to_table(self) -> str:
        """Return the table in percent; a star marks intervals without 0."""
        lines = [
            f"left:  {self.left}",
            f"right: {self.right}",
            f"{self.num_queries} queries of {self.num_videos} videos; right - left with the paired 95 % interval over videos",
            f"{'figure':32} {'left':>7} {'right':>7} {'diff':>7}  {'95 % interval':>18} {'p':>7}",
        ]
        return "\n".join([*lines, *(_format(name, one) for name, one in self.figures.items())])


def compare(left: Scored, right: Scored, *, shared_only: bool, num_samples: int, seed: int) -> Contest:
    """Compare two systems on the same queries.

    Raises:
        ValueError: when their queries differ and `shared_only` is false, no query is shared, or one has different videos.
    """
    shared = [qid for qid in left.videos if qid in right.videos]
    single = [qid for one, other in ((left, right), (right, left)) for qid in one.videos if qid not in other.videos]
    if single and not (shared_only and shared):
        remedy = "add --shared-only to compare the others" if shared else "they have no query in common"
        raise ValueError(f"{len(single)} queries are only in one of {left.name} and {right.name}: {name_some(single)}; {remedy}")
    moved = [qid for qid in shared if left.videos[qid] != right.videos[qid]]
    if moved:
        raise ValueError(f"the two were scored against different truths: the video differs for qid {name_some(moved)}")
    if single:
        warnings.warn(f"{len(single)} queries that only one side answers are left out", stacklevel=2)
    _, videos = np.unique([left.videos[qid] for qid in shared], return_inverse=True)
    figures = compare_means(left.take(shared), right.take(shared), videos, num_samples=num_samples, seed=seed)
    return Contest(left.name, right.name, len(shared), len(np.unique(videos)), figures)


def _round(comparison: Comparison) -> dict[str, float | None]:
    return {
        key: round(value, 6) + 0.0 if value is not None and np.isfinite(value) else None
        for key, value in comparison._asdict().items()
    }


def _format(name: str, one: Comparison) -> str:
    values = " ".join("      -" if np.isnan(value) else f"{100 * value:7.2f}" for value in one[:3])
    if one.low is None or one.high is None or np.isnan(one.low):
        return f"{name:32} {values}  {'one video':>18} {'-':>7}"
    star = "*" if one.low > 0 or one.high < 0 else " "
    return f"{name:32} {values} {star}[{100 * one.low:7.2f}, {100 * one.high:7.2f}] {one.p_value:7.3f}"
