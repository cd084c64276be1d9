"""Does what is asked for happen at all? How sure one can be of it: learned on validation, judged on the split that is shown.

What is present is a query asked where it is true; what is absent, the same query asked where it is not. Letters: Q answers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch

from corpus.calibration import Evidence, squash
from corpus.moments import Floats, Ints
from models.exchange.inputs import select_text
from models.metrics.calibration import ReliabilityBin, compute_calibration_error, compute_reliability, fit_logistic
from models.metrics.roc import RocCurve, choose_threshold, compute_rates, compute_roc
from models.metrics.spans import Bools
from serving.calibration import Calibration, Calibrations
from stages.support.evaluation.predictions import TrainedModels, predict_moments
from stages.support.evaluation.searching import OpenSplit, Searched, list_videos_without

_QUERIES_PER_CHUNK = 64
SEARCH, LOCALIZE = "search", "localize"  # over the collection, in one video


class Trials(NamedTuple):
    """Answers to queries asked where they are true and where they are not."""

    scores: Floats  # (Q,) of the best moment
    clip_scores: Floats  # (Q,) of the best clip
    present: Bools  # (Q,)


@dataclass(frozen=True)
class PresenceResult:
    """How well one way of asking tells present from absent on a split that it was not learned on."""

    calibration: Calibration
    curve: RocCurve  # of the confidence
    bins: Sequence[ReliabilityBin]
    hit_rate: float  # of what is present, the share that is found
    false_alarm_rate: float  # of what is absent, the share that is found

    def summarise(self) -> dict[str, float]:
        """Return the figures in the form of `summary.json`."""
        return {
            "auc": round(self.curve.area, 6),
            "calibration_error": round(compute_calibration_error(self.bins), 6),
            "threshold": self.calibration.threshold,
            "hit_rate": round(self.hit_rate, 6),
            "false_alarm_rate": round(self.false_alarm_rate, 6),
            "answers": sum(one.answers for one in self.bins),
        }


def collect_trials(models: TrainedModels, split: OpenSplit, searched: Searched, *, seed: int) -> dict[str, Trials]:
    """Return the trials of a split, by the way of asking."""
    return {SEARCH: _stack(searched.present, searched.absent), LOCALIZE: _ask_in_videos(models, split, seed=seed)}


def learn_calibrations(trials: Mapping[str, Trials], *, hit_rate: float, split: str) -> Calibrations:
    """Learn what evidence means from the trials of a split, by the way of asking; say of each that cannot be learned why."""
    learned, missing = dict[str, Calibration | None](), dict[str, str]()
    for way in (SEARCH, LOCALIZE):
        found = learn_calibration(trials[way], hit_rate=hit_rate) if way in trials else "no queries"
        learned[way] = None if isinstance(found, str) else found
        if isinstance(found, str):
            missing[way] = f"the split {split!r} has {found}"
    return Calibrations(search=learned[SEARCH], localize=learned[LOCALIZE], missing=missing)


def learn_calibration(trials: Trials, *, hit_rate: float) -> Calibration | str:
    """Fit the confidence, and choose the highest threshold that finds a share `hit_rate` of what is present.

    Where that is not possible, say what the trials have instead.
    """
    if trials.present.all() or not trials.present.any():
        return "no query that is true in one video and not in another"
    inputs = np.column_stack([trials.scores, trials.clip_scores])
    slope, clip_slope, intercept = map(float, fit_logistic(inputs, trials.present))
    if slope <= 0:
        return "scores that are no higher where the query is true than where it is not"
    calibration = Calibration(slope=slope, clip_slope=clip_slope, intercept=intercept, threshold=0.0)
    curve = compute_roc(_apply(calibration, trials), trials.present)
    return calibration.model_copy(update={"threshold": choose_threshold(curve, hit_rate=hit_rate)})


def judge_calibrations(calibrations: Calibrations, trials: Mapping[str, Trials]) -> dict[str, PresenceResult]:
    """Return how well confidences hold on a split, by the way of asking; nothing where that cannot be told."""
    judged = {}
    for way, calibration in ((SEARCH, calibrations.search), (LOCALIZE, calibrations.localize)):
        if calibration is None or trials[way].present.all() or not trials[way].present.any():
            continue
        confidences, present = _apply(calibration, trials[way]), trials[way].present
        rates = compute_rates(confidences, present, calibration.threshold)
        judged[way] = PresenceResult(
            calibration, compute_roc(confidences, present), compute_reliability(confidences, present), *rates
        )
    return judged


def summarise_presence(judged: Mapping[str, PresenceResult]) -> dict[str, Any]:
    """Return the group `presence` of `summary.json`."""
    return {way: result.summarise() for way, result in judged.items()}


def _apply(calibration: Calibration, trials: Trials) -> Floats:
    return calibration.scaling.apply(trials.scores, trials.clip_scores)


def _ask_in_videos(models: TrainedModels, split: OpenSplit, *, seed: int) -> Trials:
    """Ask every query in its own video, and in another one, drawn by seed, where it is not true."""
    generator = np.random.default_rng(seed)
    own = split.questions.video_ids
    others = {row: str(generator.choice(known)) for row, known in enumerate(list_videos_without(split.questions)) if known}
    absent = _find_evidence(models, split, np.array(list(others), dtype=np.int64), list(others.values()))
    return _stack(_find_evidence(models, split, np.arange(len(own)), own), absent)


def _find_evidence(models: TrainedModels, split: OpenSplit, rows: Ints, video_ids: Sequence[str]) -> list[Evidence | None]:
    """Return the evidence for the chosen queries in one video each; all candidates of a few queries are held."""
    evidence: list[Evidence | None] = []
    for start in range(0, len(rows), _QUERIES_PER_CHUNK):
        part, names = rows[start : start + _QUERIES_PER_CHUNK], video_ids[start : start + _QUERIES_PER_CHUNK]
        text = select_text(split.text, torch.from_numpy(part))
        found = predict_moments(models.localizer, split.questions.take(part), text, split.videos, names)
        for row, video_id, scores, valid in zip(part, names, found.scores, found.valid, strict=True):
            clip_score = float(split.index.clip_scores(split.vectors[row], [video_id])[video_id].max())
            best = squash(scores[valid].max()) if valid.any() else None
            evidence.append(None if best is None else Evidence(float(best), clip_score))
    return evidence


def _stack(present: Sequence[Evidence | None], absent: Sequence[Evidence | None]) -> Trials:
    given = [(*one, True) for one in present if one] + [(*one, False) for one in absent if one]
    scores, clip_scores, truth = np.array(given, dtype=np.float64).reshape(-1, 3).T
    return Trials(scores, clip_scores, truth.astype(bool))
