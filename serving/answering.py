"""From ranked moments to an answer: confidence, limits, found or not found, and the timeline of a video. NumPy only.

Letters: M candidates of a video, S points of time.
"""

from collections.abc import Sequence

import numpy as np

from corpus.moments import Floats, Ints, RankedMoment
from corpus.text.words import tokenize
from serving.answers import Answer, FoundMoment, SearchQuery, Timeline
from serving.calibration import Calibration
from serving.search import ScoredSpans

MAX_TIMELINE_POINTS = 1000


def judge(
    ranked: Sequence[RankedMoment],
    query: SearchQuery,
    calibration: Calibration | None,
    *,
    clip_score: float,
    unknown_words: Sequence[str],
) -> Answer:
    """Return the answer to a query from the best moments that were found, best first, and the best clip's score.

    Something was found when a moment meets the query's limits and the best one's confidence reaches the threshold: that of
    the query where it names one, else that of the calibration. Without a calibration, whatever meets the limits is found.
    Where most words are unknown, the moments answer another sentence: unless the query names a confidence, they count as none.
    """
    moments = give_confidence(ranked, calibration, clip_score=clip_score)
    kept = tuple(moment for moment in moments if _meets(moment, query))[: query.top_k]
    threshold = calibration.threshold if calibration is not None and query.min_confidence is None else 0.0
    is_understood = query.min_confidence is not None or 2 * len(unknown_words) <= len(tokenize(query.query))
    if kept and is_understood and (kept[0].confidence is None or kept[0].confidence >= threshold):
        return Answer(True, kept, None, tuple(unknown_words))
    return Answer(False, (), moments[0] if moments else None, tuple(unknown_words))


def give_confidence(
    ranked: Sequence[RankedMoment], calibration: Calibration | None, *, clip_score: float
) -> tuple[FoundMoment, ...]:
    """Return moments with their confidence, `None` without a calibration."""
    if calibration is None:
        return tuple(FoundMoment(*moment, confidence=None) for moment in ranked)
    confidences = calibration.scaling.apply(np.array([moment.score for moment in ranked]), clip_score)
    return tuple(FoundMoment(*moment, confidence=float(value)) for moment, value in zip(ranked, confidences, strict=True))


def build_timeline(candidates: ScoredSpans, shown: tuple[FoundMoment, ...], *, duration_s: float, num_clips: int) -> Timeline:
    """Return how likely the best moment of a video holds each time, from all its candidates (M), at the middle of each clip.

    Where there are more than `MAX_TIMELINE_POINTS` clips, at so many points of time.
    """
    num_points = min(num_clips, MAX_TIMELINE_POINTS)
    times_s = (np.arange(num_points) + 0.5) * duration_s / num_points  # (S,)
    cells = np.floor(candidates.spans * num_points / duration_s + 0.5).astype(np.int64)  # (M, 2)
    return Timeline(times_s, add_over(cells, compute_shares(candidates.scores), num_points=num_points), shown)


def compute_shares(logits: Floats) -> Floats:
    """Return the softmax of the logits of all candidates: how likely each is the best one, (M,) -> (M,)."""
    weights = np.exp(logits - logits.max(initial=-np.inf))
    shares: Floats = weights / weights.sum()
    return shares


def add_over(cells: Ints, shares: Floats, *, num_points: int) -> Floats:
    """Return the sum of the shares (M,) of the ranges [first, end) (M, 2) that hold each point, (S,).

    A range that lies between two points holds the nearest one.
    """
    first = cells[:, 0].clip(0, num_points - 1)
    end = cells[:, 1].clip(first + 1, num_points)
    steps = np.zeros(num_points + 1)
    np.add.at(steps, first, shares)
    np.subtract.at(steps, end, shares)
    return np.cumsum(steps[:-1]).clip(0, 1)


def _meets(moment: FoundMoment, query: SearchQuery) -> bool:
    if query.min_score is not None and moment.score < query.min_score:
        return False
    return not query.min_confidence or (moment.confidence is not None and moment.confidence >= query.min_confidence)
