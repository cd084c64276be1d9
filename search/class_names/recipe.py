"""Zero-shot recipe: the names of a classifier's classes connect sentences with pictures. NumPy only.

Sources: Objects2action (Jain et al. 2015, arXiv:1510.06939), eq. 3 and 4: a sentence is a sparse, weighted sum of the classes
whose names are nearest to it; ConSE (Norouzi et al. 2014, arXiv:1312.5650) keeps the ten best. Deviations: raw logits instead
of probabilities, because they rank videos better; a power instead of the paper's sparsity; the mean of the frames that fit a
class best instead of the mean over all frames.
Letters: S frames of a video, H shots, K classes, N classes kept for a sentence, E width of a sentence, D width of a feature.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from corpus.moments import Floats, Ints

NUM_CLASSES = 10  # N, of a sentence
POWER = 4  # of the similarities; it lets the nearest names count most
TOP_SHARE = 0.3  # of a video's frames that count for a class
MAX_DISTANCE = 0.45  # cosine distance of two neighbouring frames of one shot
MIN_SHOT_FRAMES = 2


class ClassWeights(NamedTuple):
    """The nearest classes of a sentence, best first."""

    classes: Ints  # (N,) at most `NUM_CLASSES`; empty if no name is similar
    weights: Floats  # (N,) above 0, of sum 1
    similarities: Floats  # (N,) of the names, in (0, 1]

    @property
    def grounding(self) -> float:
        """The similarity of the nearest name, in [0, 1]. It bounds how well the classes can answer the sentence."""
        return float(self.similarities[0]) if len(self.similarities) else 0.0


def weigh_classes(sentence: Floats, names: Floats) -> ClassWeights:
    """Return the classes of a sentence: c = max(0, cosine), the ten largest, weighted by c ** 4.

    `sentence` (E,) and `names` (K, E) are of unit length. Ties keep the earlier class.
    """
    similarities = np.clip(names.astype(np.float64) @ sentence.astype(np.float64), 0.0, 1.0)  # (K,)
    order = np.argsort(-similarities, kind="stable")[:NUM_CLASSES]
    classes = order[similarities[order] > 0]
    kept = similarities[classes]
    powers = (kept / kept.max(initial=1e-300)) ** POWER  # relative to the largest: no underflow
    return ClassWeights(classes, powers / powers.sum() if len(powers) else powers, kept)


def pool_frames(logits: Floats) -> NDArray[np.float32]:
    """Return how well each class fits a video: the mean of its largest 30 % of logits, at least one. (S, K) -> (K,)."""
    count = max(1, math.ceil(round(TOP_SHARE * len(logits), 9)))  # rounded first: 0.3 * 10 is a little more than 3
    largest = np.partition(logits.astype(np.float32), len(logits) - count, axis=0)[len(logits) - count :]
    pooled: NDArray[np.float32] = largest.mean(axis=0, dtype=np.float64).astype(np.float32)
    return pooled


def cut_shots(features: Floats) -> Ints:
    """Return the frames [first, end) of each shot, (H, 2), from the features of the frames in order, (S, D).

    A cut lies where the cosine distance of two neighbours is above `MAX_DISTANCE`. Cuts come from the left, and no shot has
    fewer than `MIN_SHOT_FRAMES`, unless the video has.
    """
    wide = features.astype(np.float64)
    unit = wide / np.maximum(np.linalg.norm(wide, axis=1, keepdims=True), 1e-12)
    distances = 1 - (unit[1:] * unit[:-1]).sum(axis=1)  # (S - 1,), of frame i + 1 and the one before
    cuts = [0]
    for frame in np.flatnonzero(distances > MAX_DISTANCE) + 1:
        if cuts[-1] + MIN_SHOT_FRAMES <= frame <= len(features) - MIN_SHOT_FRAMES:
            cuts.append(int(frame))
    return np.stack([cuts, [*cuts[1:], len(features)]], axis=1).astype(np.int64)


def average_shots(logits: Floats, shots: Ints) -> NDArray[np.float32]:
    """Return how well each class fits each shot: the mean of its logits. (S, K), (H, 2) -> (H, K)."""
    sums = np.add.reduceat(logits.astype(np.float64), shots[:, 0], axis=0)  # shots follow one another
    means: NDArray[np.float32] = (sums / (shots[:, 1] - shots[:, 0])[:, None]).astype(np.float32)
    return means


def score(fits: Floats, weights: ClassWeights) -> Floats:
    """Return the scores of a sentence for videos, shots or frames: the weighted sum of its classes' fits. (..., K) -> (...)."""
    scores: Floats = fits[..., weights.classes].astype(np.float64) @ weights.weights
    return scores


def compute_shot_times(shots: Ints, *, frame_rate_hz: float, duration_s: float) -> Floats:
    """Return the seconds [start, end) of shots, (H, 2); the last one ends with the video.

    Frame i stands for the time from i / frame_rate_hz on.
    """
    spans = np.minimum(shots / frame_rate_hz, duration_s)
    spans[-1, 1] = duration_s
    return spans
