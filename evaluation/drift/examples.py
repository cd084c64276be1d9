"""Examples that explain a comparison: typical new sentences, new words, and a map of the sentences.

Letters: N rows of the reference, M rows of the window, E width.
"""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression

from corpus.moments import Floats
from evaluation.drift.samples import Sample

MOST_ON_MAP = 400  # sentences of each side
_MOST = 8


class Examples(NamedTuple):
    """What to show beside the figures."""

    typical: tuple[str, ...]  # sentences of the window that are least like the reference
    unknown_words: tuple[tuple[str, int], ...]  # with their number of sentences
    reference_map: Floats  # (<= 400, 2)
    window_map: Floats  # (<= 400, 2)


def choose_examples(reference: Sample, window: Sample) -> Examples:
    """Return examples; parts without data are empty."""
    words = tuple(Counter(window.unknown_words).most_common(_MOST))
    none = np.zeros((0, 2))
    if reference.vectors is None or window.vectors is None or min(len(reference.vectors), len(window.vectors)) < 2:
        return Examples((), words, none, none)
    old, new = reference.vectors, window.vectors
    typical = _rank_new(old, new, window.texts or ())
    project = PCA(2, random_state=0).fit(np.concatenate([old, new])).transform
    return Examples(typical, words, project(old[:MOST_ON_MAP]), project(new[:MOST_ON_MAP]))


def _rank_new(old: Floats, new: Floats, texts: Sequence[str]) -> tuple[str, ...]:
    """Return distinct sentences of the window, those first that a classifier tells best from the reference."""
    model = LogisticRegression(class_weight="balanced", max_iter=1000)
    model.fit(np.concatenate([old, new]), np.repeat([0, 1], [len(old), len(new)]))
    order = np.argsort(-model.decision_function(new), kind="stable")
    return tuple(dict.fromkeys(texts[one] for one in order if texts))[:_MOST]
