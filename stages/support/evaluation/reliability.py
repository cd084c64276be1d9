"""How far the scores of a split's first answers can be trusted: as the localizer gives them, and scaled on validation."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from corpus.calibration import squash
from corpus.moments import Floats
from models.metrics.calibration import ReliabilityBin, compute_calibration_error, compute_reliability, fit_platt
from models.metrics.spans import Bools, RankedSpans, compute_best_iou
from stages.support.evaluation.answers import HIT_IOU
from stages.support.evaluation.questions import Questions

AS_SCORED, SCALED = "as scored", "scaled on validation"

Reliability = Mapping[str, Sequence[ReliabilityBin]]


class FirstAnswers(NamedTuple):
    """The first answer of each query that has one: its logit, and whether it is right."""

    logits: Floats  # (A,)
    hits: Bools  # (A,)


def collect_first_answers(answers: RankedSpans, questions: Questions) -> FirstAnswers:
    """Return the first answers of a split."""
    given = answers.valid[:, 0]
    best = compute_best_iou(answers.spans[:, :1], questions.truth)[:, 0]
    return FirstAnswers(answers.scores[given, 0], np.asarray(best[given] > HIT_IOU))


def compare_scores(shown: FirstAnswers, held_out: FirstAnswers | None) -> Reliability:
    """Return the reliability of a split's scores, and that of the scores scaled on other answers where there are any."""
    lines = {AS_SCORED: compute_reliability(squash(shown.logits), shown.hits)}
    if held_out is not None and len(held_out.logits):
        scaling = fit_platt(*held_out)
        lines[SCALED] = compute_reliability(scaling.apply(shown.logits), shown.hits)
    return lines


def summarise_reliability(lines: Reliability) -> dict[str, float]:
    """Return the calibration error of each line, in the form of `summary.json`."""
    return {name.replace(" ", "_"): round(compute_calibration_error(bins), 6) for name, bins in lines.items()}
