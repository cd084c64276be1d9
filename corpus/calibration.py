"""Scores as probabilities: the logistic function, Platt scaling, and how sure one is that something was found at all.

NumPy only, shared by evaluation, which fits them (`models.metrics`), and serving, which applies them. Letters: Q answers.
"""

from typing import NamedTuple

import numpy as np

from corpus.moments import Floats


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
    """What speaks for it that a moment is what a sentence describes."""

    score: float  # that ranks it
    clip_score: float  # the retriever's, of the best clip in all that was searched


class PresenceScaling(NamedTuple):
    """The map from evidence to the probability that what was asked for is there: Platt scaling with a second input.

    A localizer always finds a best place; whether the sentence fits the video at all, the retriever knows better.
    """

    slope: float
    clip_slope: float
    intercept: float

    def apply(self, scores: Floats, clip_scores: Floats | float) -> Floats:
        """Return probabilities of the shape of the scores, which are those of moments (Q,)."""
        return squash(self.slope * scores + self.clip_slope * clip_scores + self.intercept)


def squash(logits: Floats) -> Floats:
    """Return the logistic function of logits, without overflow."""
    return np.asarray(0.5 * (1 + np.tanh(0.5 * np.asarray(logits, dtype=np.float64))))
