"""Reliability of scores: reliability diagram, expected calibration error, and fitting of Platt scaling.

Source: Guo et al. 2017 (arXiv:1706.04599), section 2 and eq. 3. Deviation: bins hold equally many answers instead of
equally wide ranges of score, so that no bin rests on a handful of answers. Platt scaling: Platt 1999, "Probabilistic
outputs for support vector machines", with the stable form of Lin, Lin and Weng 2007.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from corpus.moments import Floats
from evaluation.answers import HIT_IOU
from evaluation.questions import Questions
from models.metrics.spans import Bools, RankedSpans, compute_best_iou
from search.calibration import PlattScaling, squash

AS_SCORED, SCALED = "as scored", "scaled on validation"


class ReliabilityBin(NamedTuple):
    """Answers of similar score: how many, their mean score, and the share of them that is right."""

    answers: int
    score: float
    accuracy: float


def compute_reliability(scores: Floats, hits: Bools, *, num_bins: int = 10) -> list[ReliabilityBin]:
    """Return bins of answers in the order of their scores in [0, 1]: (Q,), (Q,) -> at most `num_bins` bins, none of them empty.

    Answers of equal score share a bin, so that the result does not depend on the order of the answers.

    Raises:
        ValueError: when a score is not in [0, 1], or the numbers of hits and scores differ.
    """
    if scores.shape != hits.shape:
        raise ValueError(f"each score needs its hit, got scores {scores.shape}, hits {hits.shape}")
    if len(scores) and not (np.isfinite(scores).all() and scores.min() >= 0 and scores.max() <= 1):
        raise ValueError(f"scores must lie in [0, 1], got {scores.min()} to {scores.max()}")
    order = np.argsort(scores, kind="stable")
    ranked = scores[order]
    places = [round(number * len(ranked) / num_bins) for number in range(1, num_bins)]
    edges = {int(np.searchsorted(ranked, ranked[place])) for place in places if place < len(ranked)} - {0}
    parts = np.split(order, sorted(edges))
    return [ReliabilityBin(len(part), float(scores[part].mean()), float(hits[part].mean())) for part in parts if len(part)]


def compute_calibration_error(bins: Sequence[ReliabilityBin]) -> float:
    """Return the mean distance between score and accuracy, weighted by the answers of each bin; 0 without answers."""
    total = sum(one.answers for one in bins)
    return sum(one.answers * abs(one.score - one.accuracy) for one in bins) / total if total else 0.0


def fit_platt(logits: Floats, hits: Bools) -> PlattScaling:
    """Fit the scaling on answers whose truth is known: (Q,), (Q,); see `fit_logistic`."""
    slope, intercept = fit_logistic(logits[:, None], hits)
    return PlattScaling(float(slope), float(intercept))


def fit_logistic(inputs: Floats, hits: Bools, *, num_steps: int = 50) -> Floats:
    """Fit the logistic function of a weighted sum to answers whose truth is known: (Q, K), (Q,) -> (K + 1,).

    The last number is the intercept. The targets are Platt's, (N+ + 1) / (N+ + 2) and 1 / (N- + 2), so that a perfect or
    constant ranking has finite weights.

    Raises:
        ValueError: when there is no answer, or an input is not finite.
    """
    if not len(inputs) or not np.isfinite(inputs).all():
        finite = np.isfinite(inputs).all(axis=1).sum()
        raise ValueError(f"Platt scaling needs finite logits, got {len(inputs)} of which {finite} are finite")
    num_hits = int(hits.sum())
    targets = np.where(hits, (num_hits + 1) / (num_hits + 2), 1 / (len(hits) - num_hits + 2))
    centres, spreads = inputs.mean(axis=0), inputs.std(axis=0)
    spreads = np.where(spreads > 0, spreads, 1.0)  # (K,)
    columns = np.column_stack([(inputs - centres) / spreads, np.ones(len(inputs))])  # (Q, K + 1)
    weights = np.zeros(columns.shape[1])
    for _ in range(num_steps):
        given = squash(columns @ weights)
        curvature = columns.T @ (columns * (given * (1 - given))[:, None]) + 1e-6 * np.eye(len(weights))
        step = np.linalg.solve(curvature, columns.T @ (given - targets))
        weights = weights - step * min(1.0, 2.0 / float(np.abs(step).max() or 1.0))
    slopes = weights[:-1] / spreads
    return np.append(slopes, weights[-1] - slopes @ centres)


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
    """Return the reliability of a split's scores, and of the scores scaled on held-out answers if there are any."""
    lines = {AS_SCORED: compute_reliability(squash(shown.logits), shown.hits)}
    if held_out is not None and len(held_out.logits):
        scaling = fit_platt(*held_out)
        lines[SCALED] = compute_reliability(scaling.apply(shown.logits), shown.hits)
    return lines


def summarise_reliability(lines: Reliability) -> dict[str, float]:
    """Return the calibration error of each line, in the form of `summary.json`."""
    return {name.replace(" ", "_"): round(compute_calibration_error(bins), 6) for name, bins in lines.items()}
