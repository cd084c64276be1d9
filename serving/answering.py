"""From ranked moments to an answer: confidence, limits, found or not found, and the timeline of a video. NumPy only.

Letters: M candidates of a video, S points of time.
"""

from collections.abc import Sequence

import numpy as np

from corpus.calibration import squash
from corpus.moments import Floats, Ints, RankedMoment
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
    """
    moments = give_confidence(ranked, calibration, clip_score=clip_score)
    kept = tuple(moment for moment in moments if _meets(moment, query))[: query.top_k]
    threshold = calibration.threshold if calibration is not None and query.min_confidence is None else 0.0
    if kept and (kept[0].confidence is None or kept[0].confidence >= threshold):
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
    """Return the score over time of one video from all its candidates (M), at the middle of each clip.

    Where there are more than `MAX_TIMELINE_POINTS` clips, at so many points of time.
    """
    num_points = min(num_clips, MAX_TIMELINE_POINTS)
    times_s = (np.arange(num_points) + 0.5) * duration_s / num_points  # (S,)
    first = np.searchsorted(times_s, candidates.spans[:, 0], side="left")
    end = np.searchsorted(times_s, candidates.spans[:, 1], side="left")
    return Timeline(times_s, find_best_over(first, end, squash(candidates.scores), num_points=num_points), shown)


def find_best_over(first: Ints, end: Ints, scores: Floats, *, num_points: int) -> Floats:
    """Return the best score of the ranges [first, end) that hold each point, 0 where none does: (M,) each -> (S,).

    Scores are at least 0. A range is covered by two ranges of a length that is a power of two; best scores then pass down
    from the longest to the single point, so that the work grows with M and not with the ranges' lengths.
    """
    best = np.zeros((num_points.bit_length(), num_points))  # row k: of ranges of 2 ** k points that start here
    lengths = end - first
    held = lengths > 0
    levels = np.frexp(np.maximum(lengths, 1))[1] - 1  # of the largest power of two that fits
    for starts in (first, end - (1 << levels)):
        np.maximum.at(best, (levels[held], starts[held]), scores[held])
    for level in range(len(best) - 1, 0, -1):
        half = 1 << (level - 1)
        best[level - 1] = np.maximum(best[level - 1], best[level])
        best[level - 1, half:] = np.maximum(best[level - 1, half:], best[level, :-half])
    lowest: Floats = best[0]
    return lowest


def _meets(moment: FoundMoment, query: SearchQuery) -> bool:
    if query.min_score is not None and moment.score < query.min_score:
        return False
    return query.min_confidence is None or (moment.confidence is not None and moment.confidence >= query.min_confidence)
