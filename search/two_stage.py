"""Two-stage search: the clip index selects windows, the localizer places moments in them, and one ranking joins both.

NumPy only; the service and the evaluation both call it.
Letters: M candidates of one window or video, S clips of a video, E embedding width.
"""

import heapq
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from corpus.moments import Floats, RankedMoment, find_clips, score_spans, suppress_overlaps
from corpus.windows import WindowId
from search.calibration import squash
from search.clip_index import ClipIndex, ClipLayout
from search.params import SearchParams


class ScoredSpans(NamedTuple):
    """The localizer's valid candidates of one window or video."""

    spans: Floats  # (M, 2) seconds of the video
    scores: Floats  # (M,) logits


class Survivors(NamedTuple):
    """Windows that the clip index passes on to the localizer."""

    windows: list[WindowId]  # best first
    clip_score: float  # of the best clip, 0 without any


class SurvivingVideo(NamedTuple):
    """A video that the clip index passed on, with the scores of both models."""

    video_id: str
    clip_scores: Floats  # (S,) of the retriever
    clip_rate_hz: float
    candidates: ScoredSpans  # of the localizer
    best_clips: Floats  # (M,) the retriever's score of the best clip in each candidate's window


def find_survivors(
    query: NDArray[np.float32], index: ClipIndex, settings: SearchParams, *, video_ids: Iterable[str] | None = None
) -> Survivors:
    """Return the windows with the best clips of the collection, or of `video_ids`. `query` is a unit vector (E,)."""
    found = index.search_windows(query, settings.survivors, video_ids=video_ids)
    return Survivors([window for window, _ in found], found[0][1] if found else 0.0)


def rank_collection(
    query: NDArray[np.float32],
    index: ClipIndex,
    found: Mapping[WindowId, ScoredSpans],
    settings: SearchParams,
    *,
    top_k: int,
) -> list[RankedMoment]:
    """Return the `top_k` best moments among the candidates of surviving windows, best first, ties by video id and start.

    The score of a candidate is the sum of three parts:

    1. the mean score of its clips less half the mean of its flanks (`score_spans`), which shows how they stand out;
    2. `window_weight` times the score of the best clip in its window, which separates videos that fit the sentence from
       videos whose best place does not fit either;
    3. `localizer_weight` times its logit. Unlike a probability, a logit still separates two certain answers.

    Overlapping windows of one video see moments twice, so their candidates are suppressed together.
    """
    by_video = _group_by_video(found)
    clip_scores = index.clip_scores(query, by_video)
    videos = [_gather(by_video[video_id], scores, index.layout) for video_id, scores in clip_scores.items()]
    return _rank_videos(fuse_scores(videos, settings), settings, top_k=top_k)


def _rank_videos(fused: Mapping[str, ScoredSpans], settings: SearchParams, *, top_k: int) -> list[RankedMoment]:
    """Suppress overlaps video by video, best first, until no other video can be among the `top_k` best."""
    moments: list[RankedMoment] = []
    best: list[float] = []  # the `top_k` best scores so far, a heap
    promising = {video_id: candidates for video_id, candidates in fused.items() if len(candidates.scores)}
    for video_id, (spans, scores) in sorted(promising.items(), key=lambda one: -one[1].scores.max()):
        if len(best) == top_k and scores.max() < best[0]:
            break
        for moment in _rank(video_id, spans, scores, settings.max_iou, settings.moments_per_video):
            moments.append(moment)
            heapq.heappush(best, moment.score)
            if len(best) > top_k:
                heapq.heappop(best)
    return sort_moments(moments)[:top_k]


def join_windows(found: Sequence[ScoredSpans]) -> ScoredSpans:
    """Concatenate the candidates of several windows, each in seconds of its video."""
    if len(found) == 1:
        return found[0]
    return ScoredSpans(np.concatenate([one.spans for one in found]), np.concatenate([one.scores for one in found]))


def _group_by_video(found: Mapping[WindowId, ScoredSpans]) -> dict[str, dict[WindowId, ScoredSpans]]:
    grouped: dict[str, dict[WindowId, ScoredSpans]] = {}
    for window in sorted(found):
        grouped.setdefault(window.video_id, {})[window] = found[window]
    return grouped


def _gather(windows: Mapping[WindowId, ScoredSpans], clip_scores: Floats, layout: ClipLayout) -> SurvivingVideo:
    """Combine the windows of one video."""
    video_id = next(iter(windows)).video_id
    best_clips = [clip_scores[layout.get_clips(window)].max() for window in windows]
    return SurvivingVideo(
        video_id,
        clip_scores,
        layout.get_clip_rate(video_id),
        join_windows(list(windows.values())),
        np.repeat(best_clips, [len(one.scores) for one in windows.values()]),
    )


def rank_in_video(video_id: str, candidates: ScoredSpans, settings: SearchParams, *, top_k: int) -> list[RankedMoment]:
    """Return the `top_k` best moments of one given video by the localizer alone, scored by the sigmoid of its logits."""
    return sort_moments(_rank(video_id, candidates.spans, squash(candidates.scores), settings.max_iou, top_k))


def fuse_scores(videos: Sequence[SurvivingVideo], settings: SearchParams) -> dict[str, ScoredSpans]:
    """Return the candidates of each video with fused scores; see `rank_collection`.

    Here M counts the candidates of all videos, which are concatenated like the clips.
    """
    if not videos:
        return {}
    counts = [len(video.candidates.spans) for video in videos]
    num_clips = np.array([len(video.clip_scores) for video in videos])
    ends = np.cumsum(num_clips)
    rows = np.repeat(np.arange(len(videos)), counts)  # (M,)
    rates_hz = np.array([video.clip_rate_hz for video in videos])
    joined = join_windows([video.candidates for video in videos])
    clips = find_clips(joined.spans, num_clips=num_clips[rows], clip_rate_hz=rates_hz[rows])  # (M, 2), each in its video
    limits = np.stack([ends - num_clips, ends], axis=1)[rows]  # (M, 2)
    own = score_spans(np.concatenate([video.clip_scores for video in videos]), clips + limits[:, :1], limits=limits)
    best_clips = np.concatenate([video.best_clips for video in videos])
    fused = own + settings.window_weight * best_clips + settings.localizer_weight * joined.scores
    scores = np.split(fused, np.cumsum(counts)[:-1])
    return {video.video_id: ScoredSpans(video.candidates.spans, one) for video, one in zip(videos, scores, strict=True)}


def sort_moments(moments: Sequence[RankedMoment]) -> list[RankedMoment]:
    """Sort by score, best first, ties by video id and start."""
    return sorted(moments, key=lambda moment: (-moment.score, moment.video_id, moment.start_s, moment.end_s))


def _rank(video_id: str, spans: Floats, scores: Floats, max_iou: float, max_kept: int) -> list[RankedMoment]:
    kept = suppress_overlaps(spans, scores, max_iou=max_iou, max_kept=max_kept)
    return [RankedMoment(video_id, float(spans[row, 0]), float(spans[row, 1]), float(scores[row])) for row in kept]
