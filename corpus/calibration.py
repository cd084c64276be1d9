"""Scores as probabilities: the logistic function, Platt scaling and the threshold below which an answer is "not found".

NumPy only, shared by evaluation, which fits them (`models.metrics`), and serving, which applies them.
"""

from typing import NamedTuple

import numpy as np

from corpus.moments import Floats


class PlattScaling(NamedTuple):
    """The map from a score to a probability: the logistic function of slope * score + intercept.

    Source: Platt 1999, "Probabilistic outputs for support vector machines".
    """

    slope: float
    intercept: float

    def apply(self, scores: Floats) -> Floats:
        """Return probabilities of the shape of the scores."""
        return squash(self.slope * scores + self.intercept)


def squash(logits: Floats) -> Floats:
    """Return the logistic function of logits, without overflow."""
    return np.asarray(0.5 * (1 + np.tanh(0.5 * np.asarray(logits, dtype=np.float64))))
