"""Null calibration: the confidence that a moment exists, without labels, from sentences about other things. NumPy only.

A bank of sentences (`search.null_sentences`) is scored in the same videos. The p-value of a query is the share of the bank with
at least its score. The density of p for moments that exist, a p^(a - 1), turns it into a probability. The shape a follows from
the area under the ROC curve, A = 1 / (1 + a).

Sources: standardising by other videos is T-norm (Auckenthaler et al. 2000, "Score normalization for text-independent speaker
verification systems"); p-values: Phipson and Smyth 2010 (arXiv:1603.05766), eq. 2; the beta-uniform mixture: Pounds and
Morris 2003, "Estimating the occurrence of false positives and false negatives in microarray studies". Deviations: the mean and
the deviation of a sentence over videos are shrunk towards the bank's, because a collection may have few videos; a comes from
the area instead of a fit, because a query has one p-value.
Letters: B sentences of the bank, V videos, K values.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from corpus.moments import Floats
from search.calibration import Presence

SEARCH_AUC, VIDEO_AUC = 0.65, 0.9  # default areas, over a collection and in one video, for models without a measurement
PRIOR_PRESENCE = 0.5  # share of sentences whose moment exists, as in the calibration on labels
THRESHOLD = 0.5  # of "found"
PRIOR_VIDEOS = 8.0  # weight of the bank, in videos, in a sentence's mean and deviation
LEAST_VIDEOS = 8.0  # number that a mean and a deviation need
LEAST_SENTENCES = 19  # number of sentences in the bank; the smallest p-value is then 0.05
_LEAST_DEVIATION = 1e-6


class Background(NamedTuple):
    """The mean and the variance of scores over sentences and videos, and their weight in videos."""

    mean: float
    variance: float
    weight: float


NO_BACKGROUND = Background(0.0, 0.0, 0.0)


def measure_background(bank: Floats) -> Background:
    """Return the background of the bank's scores (B, V)."""
    return Background(float(bank.mean()), float(bank.var()), PRIOR_VIDEOS)


def compute_standings(scores: Floats, others: Floats, background: Background = NO_BACKGROUND) -> Floats:
    """Return by how many deviations each score (K,) exceeds the scores of its sentence in other videos, `others` (K, V).

    Mean and variance combine the V videos with the background. If both together have fewer than `LEAST_VIDEOS` videos, the
    standing is 0.
    """
    weight = others.shape[1] + background.weight
    if weight < LEAST_VIDEOS:
        return np.zeros(len(scores))
    means = (others.sum(axis=1) + background.weight * background.mean) / weight  # (K,)
    spreads = ((others - means[:, None]) ** 2).sum(axis=1)
    spreads = spreads + background.weight * (background.variance + (background.mean - means) ** 2)
    standings: Floats = (scores - means) / np.maximum(np.sqrt(spreads / weight), _LEAST_DEVIATION)
    return standings


def compute_null_standings(bank: Floats) -> Floats:
    """Return the standing of every sentence of the bank in every video, against the other videos: (B, V) -> (B * V,)."""
    background, num_videos = measure_background(bank), bank.shape[1]
    parts = [compute_standings(bank[:, video], np.delete(bank, video, axis=1), background) for video in range(num_videos)]
    return np.concatenate(parts)


def compute_p_values(evidence: Floats, null: Floats) -> Floats:
    """Return the p-values, (1 + null values at or above) / (1 + null values): (K,), (N,) -> (K,), above 0."""
    at_or_above = len(null) - np.searchsorted(np.sort(null), evidence, side="left")
    p_values: Floats = (1 + at_or_above) / (1 + len(null))
    return p_values


def convert_p_values(p_values: Floats, *, auc: float) -> Floats:
    """Return the probabilities that the moments exist: prior * f / (prior * f + 1 - prior), where f = a p^(a - 1).

    An area of 1/2 or less gives f = 1: all probabilities are then the prior.
    """
    area = min(max(auc, 0.5), 1 - 1e-3)
    shape = (1 - area) / area
    odds = shape * p_values ** (shape - 1) * PRIOR_PRESENCE / (1 - PRIOR_PRESENCE)
    confidences: Floats = odds / (1 + odds)
    return confidences


def assess_null(evidence: Floats, null: Floats, *, assumed_auc: float, auc: float | None = None) -> Presence:
    """Assess the evidence of an answer's moments (R,), best first, against the null distribution (N,).

    A moment has no more confidence than one before it. `auc` is the measured area; without one, confidences assume another.
    """
    p_values = compute_p_values(np.minimum.accumulate(evidence), null)
    confidences = convert_p_values(p_values, auc=assumed_auc if auc is None else auc)
    return Presence(confidences, THRESHOLD, auc)


@dataclass(frozen=True)
class NullScores:
    """Assesses answers by the scores of the bank's sentences in videos. Fewer than `LEAST_SENTENCES` sentences give None.

    Any search can use it if each sentence has a score in each video; higher is better.
    """

    video_ids: tuple[str, ...]
    bank: Floats  # (B, V)
    auc: float | None = None  # measured area of these models' confidences, if known

    def assess_search(
        self, evidence: Floats, *, best: Floats | None = None, video_ids: Sequence[str] | None = None
    ) -> Presence | None:
        """Assess an answer's moments (R,), best first, by the scores of their videos.

        `best` are the bank's best scores (B,) in the searched videos; None takes these videos, or those of `video_ids`.
        """
        null = self.find_best(video_ids) if best is None else best
        if len(null) < LEAST_SENTENCES:
            return None
        return assess_null(evidence, null, assumed_auc=SEARCH_AUC, auc=self.auc)

    def assess_video(self, score: float, others: Floats, *, num_moments: int) -> Presence | None:
        """Assess the score of a sentence in one video against its scores in other videos (V,). All moments share the result."""
        if len(self.bank) < LEAST_SENTENCES or not self.video_ids:
            return None
        standing = compute_standings(np.array([score]), others[None], self._background)
        return assess_null(np.repeat(standing, num_moments), self._standings, assumed_auc=VIDEO_AUC, auc=self.auc)

    def find_best(self, video_ids: Sequence[str] | None = None) -> Floats:
        """Return the best score of each sentence of the bank, in all videos or in some: (B,)."""
        if not self.video_ids:
            return np.zeros(0)
        wanted = None if video_ids is None else set(video_ids)
        columns = [column for column, name in enumerate(self.video_ids) if wanted is None or name in wanted]
        return np.asarray(self.bank[:, columns].max(axis=1))

    @cached_property
    def _background(self) -> Background:
        return measure_background(self.bank)

    @cached_property
    def _standings(self) -> Floats:
        return np.sort(compute_null_standings(self.bank))
