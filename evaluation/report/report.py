"""Writer of an evaluation's report: tables as CSV, answers as JSONL, pictures, and one page that shows everything."""

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from corpus.files import write_bytes, write_jsonl
from corpus.moments import Ints, RankedMoment
from evaluation.answers import Answer, choose_best, choose_confident_misses, choose_spread, choose_worst, list_answers
from evaluation.calibration import Reliability
from evaluation.presence import PresenceResult, Trials
from evaluation.questions import Questions
from evaluation.report.diagrams import (
    ScoreMap,
    draw_calibration,
    draw_confidence,
    draw_curve,
    draw_lengths,
    draw_roc,
    draw_score_map,
)
from evaluation.report.pictures import read_strip, write_sheet
from evaluation.report.report_page import ROW_LABELS, Gallery, ReportContent, build_page
from evaluation.tables.collection_table import CollectionScores
from evaluation.tables.scores import LOCALIZER, Row, Scoring, compute_curve, list_estimates, round_figure
from evaluation.tables.slices import score_slices
from models.metrics.spans import RankedSpans

_SPREAD, _EXTREMES = 12, 4

Localize = Callable[[Ints], RankedSpans]  # all candidates of chosen queries, by their rows


@dataclass(frozen=True)
class SplitResult:
    """One scored split: its lines under both conventions, its group of `summary.json`, and the scores of its search."""

    questions: Questions
    rows: Mapping[str, Row]
    qvhighlights: Mapping[str, Row]  # the same lines under that convention
    summary: dict[str, Any]
    collection: CollectionScores | None = None
    found: Sequence[Sequence[RankedMoment]] = ()  # the answers of its search to each query, best first
    trials: Mapping[str, Trials] = field(default_factory=dict)  # queries asked where they are true and where they are not
    reliability: Reliability = field(default_factory=dict)  # of the scores of the first answers
    presence: Mapping[str, PresenceResult] = field(default_factory=dict)  # of confidences, by kind of search


def write_report(result: SplitResult, scoring: Scoring, localize: Localize, *, raw_dir: Path, output_dir: Path) -> None:
    """Write tables, answers, pictures and `index.html` of one split. `raw_dir` holds its videos."""
    found = result.rows[LOCALIZER].answers
    assert found is not None
    answers = list_answers(found, None if result.collection is None else result.collection.ranks, result.questions)
    searched = result.found or [()] * len(answers)
    write_jsonl(output_dir / "per_query.jsonl", (answer.to_json() for answer in answers))
    write_jsonl(output_dir / "predictions.jsonl", map(Answer.to_qvhighlights, answers, searched))
    write_csv(output_dir / "figures.csv", list_query_figures(result))
    qvhighlights = list_estimates(result.qvhighlights, result.questions, scoring)
    estimates = list_estimates(result.rows, result.questions, scoring)
    curve = compute_curve(result.rows, result.questions, scoring)
    slices = score_slices(result.rows, result.questions, scoring)
    for name, lines in (("floors", estimates), ("qvhighlights", qvhighlights), ("recall_curve", curve), ("slices", slices)):
        write_csv(output_dir / f"{name}.csv", lines)
    galleries = read_galleries(answers, raw_dir)
    write_sheet(galleries[0].answers, galleries[0].strips, output_dir / "answers.png")
    write_sheet(galleries[1].answers[:1], galleries[1].strips[:1], output_dir / "filmstrip.png", columns=1)
    diagrams = draw_diagrams(answers, curve, result.reliability) | draw_presence(result.presence)
    score_maps = draw_score_maps([*galleries[1].answers, *galleries[3].answers], result.questions, localize)
    for name, svg in diagrams.items():
        write_bytes(output_dir / f"{name}.svg", svg.encode())
    for number, (_, svg) in enumerate(score_maps, start=1):
        write_bytes(output_dir / "score_maps" / f"{number}.svg", svg.encode())
    content = ReportContent(
        split=result.questions.split,
        scoring=scoring,
        summary=result.summary,
        estimates=estimates,
        qvhighlights=qvhighlights,
        diagrams=diagrams,
        slices=slices,
        galleries=galleries if len(answers) > _SPREAD else galleries[:1],  # with few answers, the spread shows them all
        score_maps=score_maps,
    )
    write_bytes(output_dir / "index.html", build_page(content).encode())


def list_query_figures(result: SplitResult) -> list[dict[str, Any]]:
    """Return every figure of the localizer and of the search, one row per query, for comparisons of runs."""
    groups = {"": result.rows[LOCALIZER].figures, "qvhighlights_": result.qvhighlights[LOCALIZER].figures}
    groups["collection_"] = None if result.collection is None else result.collection.figures
    columns = {f"{prefix}{name}": values for prefix, figures in groups.items() for name, values in (figures or {}).items()}
    return [
        {"qid": query.qid, "video_id": query.video_id}
        | {name: round_figure(float(values[row])) for name, values in columns.items()}
        for row, query in enumerate(result.questions.queries)
    ]


def read_galleries(answers: Sequence[Answer], raw_dir: Path) -> list[Gallery]:
    """Choose the answers to show and read their film strips: the spread first, then best, worst, most confident misses."""
    chosen = [
        (
            "A fair spread",
            "Evenly spaced from the best overlap to the worst, chosen by rule.",
            choose_spread(answers, _SPREAD),
        ),
        ("Best", "The largest overlaps with a true moment, one per video.", choose_best(answers, _EXTREMES)),
        ("Farthest off", "Misses whose centre is farthest from a true moment, one per video.", choose_worst(answers, _EXTREMES)),
        ("Most confident misses", "Misses with the highest scores, one per video.", choose_confident_misses(answers, _EXTREMES)),
    ]
    videos = {answer.video.video_id: answer.video for _, _, part in chosen for answer in part}
    strips = {video_id: read_strip(raw_dir, video) for video_id, video in videos.items()}
    return [Gallery(title, rule, part, [strips[answer.video.video_id] for answer in part]) for title, rule, part in chosen]


def draw_diagrams(answers: Sequence[Answer], curve: Sequence[Mapping[str, Any]], reliability: Reliability) -> dict[str, str]:
    """Draw the recall curve, the calibration and the lengths of the answers, as SVG by name."""
    given = [answer for answer in answers if len(answer.spans)]
    found_s = np.array([answer.spans[0, 1] - answer.spans[0, 0] for answer in given], dtype=np.float64)
    true_s = np.array([answer.query.spans[0].end_s - answer.query.spans[0].start_s for answer in answers], dtype=np.float64)
    return {
        "recall_curve": draw_curve(curve, ROW_LABELS),
        "calibration": draw_calibration(reliability),
        "lengths": draw_lengths(found_s, true_s),
    }


def draw_presence(presence: Mapping[str, PresenceResult]) -> dict[str, str]:
    """Draw how well confidences separate present from absent moments, as SVG by name; nothing without judged calibrations."""
    if not presence:
        return {}
    points = {way: (result.false_alarm_rate, result.hit_rate) for way, result in presence.items()}
    curves = {way: result.curve for way, result in presence.items()}
    bins = {way: result.bins for way, result in presence.items()}
    return {"roc": draw_roc(curves, points), "confidence": draw_confidence(bins)}


def draw_score_maps(answers: Sequence[Answer], questions: Questions, localize: Localize) -> list[tuple[Answer, str]]:
    """Draw the score map of each of these answers once."""
    rows = {query.qid: row for row, query in enumerate(questions.queries)}
    chosen = list({answer.query.qid: answer for answer in answers}.values())
    candidates = localize(np.array([rows[answer.query.qid] for answer in chosen], dtype=np.int64))
    drawn = []
    for answer, spans, scores, valid in zip(chosen, *candidates, strict=True):
        truth = np.array([[moment.start_s, moment.end_s] for moment in answer.query.spans])
        score_map = ScoreMap(spans[valid], scores[valid], truth, answer.spans, answer.video.duration_s)
        drawn.append((answer, draw_score_map(score_map)))
    return drawn


def write_csv(path: Path, lines: Sequence[Mapping[str, Any]]) -> None:
    """Write rows that share their keys; None becomes an empty field."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, fieldnames=list(lines[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    write_bytes(path, buffer.getvalue().encode())
