"""Search in two stages: the clip index names the survivors, the localizer places moments in them, one ranking comes out.

NumPy only; the service and the evaluation both call it. M = candidates of one video, S = its clips, E = embedding width.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, NonNegativeFloat, PositiveInt

from corpus.moments import Floats, RankedMoment, find_clips, score_spans, suppress_overlaps
from corpus.params import Params
from serving.clip_index import ClipIndex


class SearchSettings(Params):
    """How a collection is searched; the fields are those of `search` in the parameters."""

    survivors: PositiveInt  # videos that the index passes on to the localizer
    localizer_weight: NonNegativeFloat  # of the localizer's score beside the retriever's
    max_iou: float = Field(ge=0, le=1)  # non-maximum suppression within a video
    moments_per_video: PositiveInt


class ScoredSpans(NamedTuple):
    """What a localizer says about one video: its valid candidates."""

    spans: Floats  # (M, 2) seconds
    scores: Floats  # (M,) logits


Localize = Callable[[list[str]], Sequence[ScoredSpans]]


def search_collection(
    query: NDArray[np.float32], index: ClipIndex, localize: Localize, settings: SearchSettings, *, top_k: int
) -> list[RankedMoment]:
    """Return the `top_k` best moments of the collection, best first, ties by video id and start.

    `query` is the retriever's unit query vector (E,); `localize` gives the candidates of the named videos, in their
    order. A candidate's score is the mean of its clips' scores less half the mean of its flanks' (`score_spans`), plus
    `localizer_weight` times the sigmoid of its logit.
    """
    survivors = [video_id for video_id, _ in index.search_videos(query, settings.survivors)]
    moments: list[RankedMoment] = []
    for video_id, candidates in zip(survivors, localize(survivors), strict=True):
        rate_hz = index.get_clip_rate(video_id)
        scores = fuse_scores(index.clip_scores(query, video_id), candidates, settings, clip_rate_hz=rate_hz)
        moments += _rank(video_id, candidates.spans, scores, settings.max_iou, settings.moments_per_video)
    return sort_moments(moments)[:top_k]


def rank_in_video(video_id: str, candidates: ScoredSpans, settings: SearchSettings, *, top_k: int) -> list[RankedMoment]:
    """Return the `top_k` best moments of one given video by the localizer alone, scored by the sigmoid of its logits."""
    return sort_moments(_rank(video_id, candidates.spans, _sigmoid(candidates.scores), settings.max_iou, top_k))


def fuse_scores(clip_scores: Floats, candidates: ScoredSpans, settings: SearchSettings, *, clip_rate_hz: float) -> Floats:
    """Return the score of each candidate from the retriever's clip scores (S,) and the localizer's logits, (M,)."""
    if len(candidates.spans) == 0:
        return np.zeros(0)
    cells = find_clips(candidates.spans, num_clips=len(clip_scores), clip_rate_hz=clip_rate_hz)  # (M, 2)
    return score_spans(clip_scores, cells) + settings.localizer_weight * _sigmoid(candidates.scores)


def sort_moments(moments: Sequence[RankedMoment]) -> list[RankedMoment]:
    """Sort by score, best first, ties by video id and start."""
    return sorted(moments, key=lambda moment: (-moment.score, moment.video_id, moment.start_s, moment.end_s))


def _rank(video_id: str, spans: Floats, scores: Floats, max_iou: float, max_kept: int) -> list[RankedMoment]:
    kept = suppress_overlaps(spans, scores, max_iou=max_iou, max_kept=max_kept)
    return [RankedMoment(video_id, float(spans[row, 0]), float(spans[row, 1]), float(scores[row])) for row in kept]


def _sigmoid(logits: Floats) -> Floats:
    probability: Floats = 0.5 * (1 + np.tanh(0.5 * np.asarray(logits, dtype=np.float64)))  # no overflow for large logits
    return probability
