"""Table of the second convention: scores of the same answers and floors by the rules of QVHighlights."""

from collections.abc import Mapping
from typing import Any

from evaluation.questions import Questions
from evaluation.tables.scores import FLOORS, LOCALIZER, Row, Scoring, flatten_estimates, round_figure
from models.metrics.convention import compute_means
from models.metrics.floors import scale_unit_spans
from models.metrics.qvhighlights import QVHighlightsConvention

LEADING = ("R1_iou0.5", "R1_iou0.7", "mAP_iou0.5", "mAP_iou0.75", "mAP_avg", "mIoU")  # shown in a terminal


def score_qvhighlights(rows: Mapping[str, Row], questions: Questions, scoring: Scoring) -> dict[str, Row]:
    """Score every line of a table by QVHighlights. A line without answers keeps its reason; chance is drawn from the grid."""
    convention = QVHighlightsConvention()
    scored = {
        name: row if row.answers is None else Row(name, convention.compute_figures(row.answers, questions.truth), row.answers)
        for name, row in rows.items()
    }
    candidates = scale_unit_spans(scoring.unit_cells, questions.durations_s)  # (Q, M, 2)
    return scored | {"chance": Row("chance", convention.compute_chance(candidates, questions.truth))}


def summarise_qvhighlights(rows: Mapping[str, Row], questions: Questions, scoring: Scoring) -> dict[str, Any]:
    """Return the group `qvhighlights` of `summary.json`: the localizer with intervals, the floors' values."""
    ours = rows[LOCALIZER].figures
    assert ours is not None
    floors: dict[str, Any] = {}
    for name in FLOORS:
        figures = rows[name].figures
        if figures is None:
            floors[name] = dict.fromkeys(ours) | {"reason": rows[name].reason}
        else:
            floors[name] = {key: round_figure(mean) for key, mean in compute_means(figures).items()}
    return {LOCALIZER: flatten_estimates(scoring.estimate(ours, questions)), "floors": floors}
