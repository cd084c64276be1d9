"""Odd single requests by their distance to a reference. An outlier is not drift: one odd row does not move a window.

Letters: N rows of the reference, M rows of the window, D width, K neighbours.
"""

from collections.abc import Callable
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from sklearn.covariance import LedoitWolf
from sklearn.neighbors import NearestNeighbors

from corpus.moments import Floats

NUM_NEIGHBOURS = 5


class Scorer(Protocol):
    """Fitted to a reference (N, D); `reference` are the scores of its own rows as if they were new, (N,)."""

    @property
    def reference(self) -> Floats:
        """Scores of the reference."""

    def score(self, rows: Floats) -> Floats:
        """Return the oddness (M,) of rows (M, D); higher is odder."""


class NeighbourDistance:
    """Distance to the fifth neighbour in the reference."""

    def __init__(self, reference: Floats, num_neighbours: int = NUM_NEIGHBOURS) -> None:
        """Keep the reference. A row of it is not its own neighbour."""
        self._neighbours = NearestNeighbors(n_neighbors=num_neighbours).fit(reference)
        self.reference: Floats = self._neighbours.kneighbors()[0][:, -1]

    def score(self, rows: Floats) -> Floats:
        """Return the distances (M,) of rows (M, D)."""
        distances: Floats = self._neighbours.kneighbors(rows)[0][:, -1]
        return distances


class MahalanobisDistance:
    """Distance to the mean of the reference in units of its spread, with the covariance shrunk by Ledoit and Wolf 2004."""

    def __init__(self, reference: Floats) -> None:
        """Estimate mean and covariance on all rows, and the scores of the reference on halves that were left out."""
        self._model = LedoitWolf().fit(reference)
        halves = np.arange(len(reference)) % 2
        scores = np.empty(len(reference))
        for half in (0, 1):
            other = LedoitWolf().fit(reference[halves != half])
            scores[halves == half] = np.sqrt(other.mahalanobis(reference[halves == half]))
        self.reference: Floats = scores

    def score(self, rows: Floats) -> Floats:
        """Return the distances (M,) of rows (M, D)."""
        distances: Floats = np.sqrt(self._model.mahalanobis(rows))
        return distances


METHODS: dict[str, Callable[[Floats], Scorer]] = {"knn": NeighbourDistance, "mahalanobis": MahalanobisDistance}


class Oddness(NamedTuple):
    """The rows of a window that a method finds odd."""

    method: str
    threshold: float
    scores: Floats  # (M,)
    odd: NDArray[np.int64]  # rows above the threshold, the oddest first


def find_odd(method: str, scorer: Scorer, rows: Floats, *, share: float) -> Oddness:
    """Return the rows (M, D) that are odder than all but `share` of the reference."""
    scores = scorer.score(rows)
    threshold = float(np.quantile(scorer.reference, 1 - share, method="higher"))
    odd = np.flatnonzero(scores > threshold)
    return Oddness(method, threshold, scores, odd[np.argsort(-scores[odd], kind="stable")])
