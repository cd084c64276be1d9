"""Calibration: maps scores to probabilities. `evaluate` learns it on validation, the bundle carries it, every answer uses it.

NumPy only. Letters: Q answers.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from pydantic import Field, FiniteFloat, NonNegativeFloat, PositiveFloat, ValidationError

from corpus.files import read_json
from corpus.moments import Floats
from corpus.params import Params

LEAST_AUC = 0.75  # below it, models do not say that something is missing


class PlattScaling(NamedTuple):
    """The map from a logit to the probability that the answer is right: the logistic function of slope * logit + intercept.

    Source: Platt 1999, "Probabilistic outputs for support vector machines".
    """

    slope: float
    intercept: float

    def apply(self, logits: Floats) -> Floats:
        """Return probabilities of the shape of the logits."""
        return squash(self.slope * logits + self.intercept)


class Evidence(NamedTuple):
    """What the confidence of a moment is computed from; it grows with each of them."""

    score: float  # ranks the moment; in one video as a logit
    clip_score: float  # the retriever's score of the best clip in everything searched
    standing: float = 0.0  # in one video: by how many deviations its best clip exceeds those of other videos; 0: unknown


class PresenceScaling(NamedTuple):
    """Platt scaling with three inputs: maps evidence to the probability that the moment exists.

    A localizer always finds a best span; the retriever's score tells better whether the sentence fits the video at all.
    """

    slope: float
    clip_slope: float
    standing_slope: float
    intercept: float

    def apply(self, scores: Floats, clip_scores: Floats | float, standings: Floats | float = 0.0) -> Floats:
        """Return probabilities of the shape of the scores, which are those of moments (Q,)."""
        others = self.clip_slope * clip_scores + self.standing_slope * standings
        return squash(self.slope * scores + others + self.intercept)


class Presence(NamedTuple):
    """Confidences that the moments of an answer exist, with their threshold."""

    confidences: Floats  # (R,) of its moments, best first, in [0, 1]
    threshold: float  # of "found"
    auc: float | None  # measured area under the ROC curve of such confidences; None without a measurement


def squash(logits: Floats) -> Floats:
    """Return the logistic function of logits, without overflow."""
    return np.asarray(0.5 * (1 + np.tanh(0.5 * np.asarray(logits, dtype=np.float64))))


def to_logits(probabilities: Floats) -> Floats:
    """Return the inverse of `squash`; probabilities within 1e-15 of 0 or 1 give the logit of that bound."""
    kept = np.clip(probabilities, 1e-15, 1 - 1e-15)
    return np.asarray(np.log(kept) - np.log1p(-kept))


class Calibration(Params):
    """The map from the evidence of a moment to its confidence, the threshold of "found", and the quality of confidences."""

    slope: PositiveFloat  # the confidence grows with the score
    clip_slope: NonNegativeFloat
    standing_slope: NonNegativeFloat
    intercept: FiniteFloat
    threshold: float = Field(ge=0, le=1)
    auc: float = Field(ge=0, le=1)  # area under the ROC curve on the split it was learned on

    @property
    def scaling(self) -> PresenceScaling:
        """The map from evidence to confidence."""
        return PresenceScaling(self.slope, self.clip_slope, self.standing_slope, self.intercept)

    def assess(self, scores: Floats, *, clip_score: float, standing: float = 0.0) -> Presence:
        """Assess an answer by the scores of its moments (R,) and the rest of its evidence."""
        return Presence(self.scaling.apply(scores, clip_score, standing), self.threshold, self.auc)


class Calibrations(Params):
    """The calibration of each kind of search. If one is absent, `missing` says why, and its answers have no confidence."""

    search: Calibration | None  # over a collection
    localize: Calibration | None  # in one video
    missing: Mapping[str, str]  # kind of search -> reason


def load_calibrations(path: Path) -> Calibrations:
    """Read the calibrations that `evaluate` learned.

    Raises:
        FileNotFoundError: when it has not been written yet.
        ValueError: when it was written by other code.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist, so scores have no calibration; run: dvc repro evaluate")
    try:
        return Calibrations.model_validate(read_json(path))
    except ValidationError as error:
        raise ValueError(f"{path}: {error.errors()[0]['msg']}; run: dvc repro --force evaluate") from error
