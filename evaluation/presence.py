"""Presence: confidence that the moment exists at all, learned on validation and judged on the reported split.

A present trial asks a query in a video where it is true; an absent trial asks it in a video where it is not. The confidence by
the bank of sentences learns from no label and is judged on the same queries. Letters: Q answers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch

from corpus.moments import Floats, Ints, RankedMoment
from evaluation.calibration import ReliabilityBin, compute_calibration_error, compute_reliability, fit_logistic
from evaluation.predictions import TrainedModels, predict_moments
from evaluation.searching import OpenSplit, Searched, Trial, list_videos_without
from models.contracts.inputs import select_text
from models.metrics.roc import RocCurve, choose_threshold, compute_rates, compute_roc
from models.metrics.spans import Bools
from search.calibration import Calibration, Calibrations, Evidence, squash, to_logits
from search.null_calibration import THRESHOLD

_QUERIES_PER_CHUNK = 64
SEARCH, LOCALIZE = "search", "localize"  # over the collection, in one video
UNLABELLED = {SEARCH: "search_unlabelled", LOCALIZE: "localize_unlabelled"}  # the same by the bank of sentences


class Trials(NamedTuple):
    """Answers to queries asked where they are true and where they are not."""

    scores: Floats  # (Q,) of the best moment
    clip_scores: Floats  # (Q,) of the best clip
    standings: Floats  # (Q,) of the video among others, 0 over the collection
    present: Bools  # (Q,)
    unlabelled: Floats | None = None  # (Q,) confidences by the bank of sentences


@dataclass(frozen=True)
class PresenceResult:
    """Separation of present and absent moments by one kind of search, on a split that it was not learned on."""

    threshold: float  # of "found"
    curve: RocCurve  # of the confidence
    bins: Sequence[ReliabilityBin]
    hit_rate: float  # share of the present trials that are found
    false_alarm_rate: float  # share of the absent trials that are found

    def summarise(self) -> dict[str, float]:
        """Return the figures in the form of `summary.json`."""
        return {
            "auc": round(self.curve.area, 6),
            "calibration_error": round(compute_calibration_error(self.bins), 6),
            "threshold": self.threshold,
            "hit_rate": round(self.hit_rate, 6),
            "false_alarm_rate": round(self.false_alarm_rate, 6),
            "answers": sum(one.answers for one in self.bins),
        }


def collect_trials(models: TrainedModels, split: OpenSplit, searched: Searched, *, seed: int) -> dict[str, Trials]:
    """Return the trials of a split, by kind of search."""
    return {SEARCH: _stack(searched.present, searched.absent), LOCALIZE: _ask_in_videos(models, split, seed=seed)}


def learn_calibrations(trials: Mapping[str, Trials], *, hit_rate: float, split: str) -> Calibrations:
    """Learn the calibration of each kind of search from the trials of a split, or the reason why it cannot be learned."""
    learned, missing = dict[str, Calibration | None](), dict[str, str]()
    for way in (SEARCH, LOCALIZE):
        found = learn_calibration(trials[way], hit_rate=hit_rate) if way in trials else "no queries"
        learned[way] = None if isinstance(found, str) else found
        if isinstance(found, str):
            missing[way] = f"the split {split!r} has {found}"
    return Calibrations(search=learned[SEARCH], localize=learned[LOCALIZE], missing=missing)


def learn_calibration(trials: Trials, *, hit_rate: float) -> Calibration | str:
    """Fit the confidence, and choose the highest threshold that finds a share `hit_rate` of the present trials.

    If that is not possible, return what the trials have instead.
    """
    if trials.present.all() or not trials.present.any():
        return "no query that is true in one video and not in another"
    *slopes, intercept = fit_monotone(np.column_stack([trials.scores, trials.clip_scores, trials.standings]), trials.present)
    if slopes[0] <= 0:
        return "scores that are no higher where the query is true than where it is not"
    values = {"slope": slopes[0], "clip_slope": slopes[1], "standing_slope": slopes[2], "intercept": intercept}
    calibration = Calibration(**values, threshold=0.0, auc=0.0)
    curve = compute_roc(_apply(calibration, trials), trials.present)
    return calibration.model_copy(update={"threshold": choose_threshold(curve, hit_rate=hit_rate), "auc": curve.area})


def fit_monotone(inputs: Floats, hits: Bools) -> list[float]:
    """Fit `fit_logistic` with slopes of at least 0: (Q, K), (Q,) -> K slopes and the intercept.

    An input whose slope would be negative is left out, the one with the most negative effect first, and the rest is fitted
    again.
    """
    kept = list(range(inputs.shape[1]))
    while True:
        *slopes, intercept = map(float, fit_logistic(inputs[:, kept], hits))
        effects = [slope * float(inputs[:, column].std()) for slope, column in zip(slopes, kept, strict=True)]
        if not effects or min(effects) >= 0:
            break
        kept.pop(int(np.argmin(effects)))
    found = dict(zip(kept, slopes, strict=True))
    return [*(found.get(column, 0.0) for column in range(inputs.shape[1])), intercept]


def judge_calibrations(calibrations: Calibrations, trials: Mapping[str, Trials]) -> dict[str, PresenceResult]:
    """Judge calibrations on the trials of a split, by kind of search, and leave out those that cannot be judged."""
    judged = {}
    for way, calibration in ((SEARCH, calibrations.search), (LOCALIZE, calibrations.localize)):
        if way not in trials or trials[way].present.all() or not trials[way].present.any():
            continue
        if calibration is not None:
            judged[way] = judge_confidences(_apply(calibration, trials[way]), trials[way].present, calibration.threshold)
        if (unlabelled := trials[way].unlabelled) is not None:
            judged[UNLABELLED[way]] = judge_confidences(unlabelled, trials[way].present, THRESHOLD)
    return judged


def judge_confidences(confidences: Floats, present: Bools, threshold: float) -> PresenceResult:
    """Score confidences (Q,) against presence (Q,), which must hold both present and absent trials."""
    rates = compute_rates(confidences, present, threshold)
    return PresenceResult(threshold, compute_roc(confidences, present), compute_reliability(confidences, present), *rates)


def summarise_presence(judged: Mapping[str, PresenceResult]) -> dict[str, Any]:
    """Return the group `presence` of `summary.json`."""
    return {way: result.summarise() for way, result in judged.items()}


def _apply(calibration: Calibration, trials: Trials) -> Floats:
    return calibration.scaling.apply(trials.scores, trials.clip_scores, trials.standings)


def _ask_in_videos(models: TrainedModels, split: OpenSplit, *, seed: int) -> Trials:
    """Ask every query in its own video, and in another one, drawn by seed, where it is not true."""
    generator = np.random.default_rng(seed)
    own = split.questions.video_ids
    others = {row: str(generator.choice(known)) for row, known in enumerate(list_videos_without(split.questions)) if known}
    absent = _try_in_videos(models, split, np.array(list(others), dtype=np.int64), list(others.values()))
    return _stack(_try_in_videos(models, split, np.arange(len(own)), own), absent)


def _try_in_videos(models: TrainedModels, split: OpenSplit, rows: Ints, video_ids: Sequence[str]) -> list[Trial | None]:
    """Ask the chosen queries in one video each. Memory holds the candidates of a few queries."""
    trials: list[Trial | None] = []
    for start in range(0, len(rows), _QUERIES_PER_CHUNK):
        part, names = rows[start : start + _QUERIES_PER_CHUNK], video_ids[start : start + _QUERIES_PER_CHUNK]
        text = select_text(split.text, torch.from_numpy(part))
        found = predict_moments(models.localizer, split.questions.take(part), text, split.videos, names)
        for row, video_id, scores, valid in zip(part, names, found.scores, found.valid, strict=True):
            trials.append(_try(split, row, video_id, float(scores[valid].max())) if valid.any() else None)
    return trials


def _try(split: OpenSplit, row: int, video_id: str, logit: float) -> Trial:
    """Return the trial of a query in one video, by the logit of its best moment."""
    query = split.vectors[row]
    clip_score = float(split.index.clip_scores(query, [video_id])[video_id].max())
    best = RankedMoment(video_id, 0.0, 0.0, float(squash(np.array(logit))))
    said = split.presence.assess_video([best], query, video_id=video_id, clip_score=clip_score)
    standing = split.presence.measure_standing(query, video_id=video_id, clip_score=clip_score)
    evidence = Evidence(float(to_logits(np.array(best.score))), clip_score, standing)
    return Trial(evidence, None if said is None else float(said.confidences[0]))


def _stack(present: Sequence[Trial | None], absent: Sequence[Trial | None]) -> Trials:
    given = [(trial, is_present) for trials, is_present in ((present, True), (absent, False)) for trial in trials if trial]
    scores, clip_scores, standings = np.array([trial.evidence for trial, _ in given], dtype=np.float64).reshape(-1, 3).T
    confidences = [trial.unlabelled for trial, _ in given]
    known = np.array(confidences, dtype=np.float64) if all(one is not None for one in confidences) else None
    return Trials(scores, clip_scores, standings, np.array([is_present for _, is_present in given], dtype=bool), known)
