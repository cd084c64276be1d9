"""Writes what a reader of one evaluation wants: tables as CSV, answers as JSONL, pictures, and one page that shows it all."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from corpus.files import write_bytes, write_jsonl
from corpus.moments import Floats
from stages.support.evaluation.answers import (
    Answer,
    choose_best,
    choose_confident_misses,
    choose_spread,
    choose_worst,
    list_answers,
)
from stages.support.evaluation.pictures import draw_curve, read_strip, write_sheet
from stages.support.evaluation.questions import Questions
from stages.support.evaluation.report_page import ROW_LABELS, Gallery, ReportContent, build_page
from stages.support.evaluation.slices import score_slices
from stages.support.evaluation.tables import LOCALIZER, Row, Scoring, compute_curve, list_estimates

_SPREAD, _EXTREMES = 12, 4


@dataclass(frozen=True)
class SplitResult:
    """One scored split: its lines, its group of `summary.json`, and the ranks over the collection where it was searched."""

    questions: Questions
    rows: Mapping[str, Row]
    summary: dict[str, Any]
    ranks: Floats | None = None  # (Q,)


def write_report(result: SplitResult, scoring: Scoring, *, raw_dir: Path, output_dir: Path) -> None:
    """Write tables, answers, pictures and `index.html` of one split. `raw_dir` holds its videos."""
    found = result.rows[LOCALIZER].answers
    assert found is not None
    answers = list_answers(found, result.ranks, result.questions)
    write_jsonl(output_dir / "per_query.jsonl", (answer.to_json() for answer in answers))
    write_jsonl(output_dir / "predictions.jsonl", (answer.to_qvhighlights() for answer in answers))
    estimates = list_estimates(result.rows, result.questions, scoring)
    curve = compute_curve(result.rows, result.questions, scoring)
    slices = score_slices(result.rows, result.questions, scoring)
    for name, lines in (("floors", estimates), ("recall_curve", curve), ("slices", slices)):
        write_csv(output_dir / f"{name}.csv", lines)
    galleries = read_galleries(answers, raw_dir)
    write_sheet(galleries[0].answers, galleries[0].strips, output_dir / "answers.png")
    write_sheet(galleries[1].answers[:1], galleries[1].strips[:1], output_dir / "filmstrip.png", columns=1)
    content = ReportContent(
        split=result.questions.split,
        scoring=scoring,
        summary=result.summary,
        estimates=estimates,
        curve_svg=draw_curve(curve, ROW_LABELS),
        slices=slices,
        galleries=galleries if len(answers) > _SPREAD else galleries[:1],  # the spread shows all of a few answers
    )
    write_bytes(output_dir / "index.html", build_page(content).encode())


def read_galleries(answers: Sequence[Answer], raw_dir: Path) -> list[Gallery]:
    """Choose the answers to show and read their film strips: the spread first, then best, worst, most confident misses."""
    chosen = [
        (
            "A fair spread",
            "Evenly spaced from the best overlap to the worst; no hand has chosen them.",
            choose_spread(answers, _SPREAD),
        ),
        ("Best", "The largest overlaps with a true moment, one a video.", choose_best(answers, _EXTREMES)),
        ("Farthest off", "Misses whose centre is farthest from a true moment, one a video.", choose_worst(answers, _EXTREMES)),
        ("Most confident misses", "Misses with the highest scores, one a video.", choose_confident_misses(answers, _EXTREMES)),
    ]
    videos = {answer.video.video_id: answer.video for _, _, part in chosen for answer in part}
    strips = {video_id: read_strip(raw_dir, video) for video_id, video in videos.items()}
    return [Gallery(title, rule, part, [strips[answer.video.video_id] for answer in part]) for title, rule, part in chosen]


def write_csv(path: Path, lines: Sequence[Mapping[str, Any]]) -> None:
    """Write rows that share their keys; None becomes an empty field."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, fieldnames=list(lines[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    write_bytes(path, buffer.getvalue().encode())
