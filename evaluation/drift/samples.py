"""What is compared: the sentences, answers, feedback and videos of training or of a window of traffic."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from corpus.moments import Floats


class Answers(NamedTuple):
    """Answers to searches of the whole collection."""

    scores: Floats  # of their best moments or best guesses
    num_not_found: int
    total: int


class Feedback(NamedTuple):
    """People's verdicts."""

    num_wrong: int
    total: int


@dataclass(frozen=True)
class Sample:
    """One side of the comparison. Parts that are unknown are None, and no test runs on them.

    Letters: N sentences, E embedding width, V videos.
    """

    num_words: Floats  # (N,)
    has_unknown: NDArray[np.bool_]  # (N,) whether a sentence has a word that the models never saw
    texts: Sequence[str] | None = None  # N sentences
    verbs: Sequence[str] | None = None  # N main verbs
    vectors: Floats | None = None  # (N, E) of the sentences
    unknown_words: Sequence[str] = ()  # of all sentences, with repetitions
    answers: Answers | None = None
    feedback: Feedback | None = None
    clips: Floats | None = None  # (V, E) mean clip vector of each video: clips of one video depend on each other
