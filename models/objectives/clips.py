"""Batches of clips for pretraining, with the sentences that cover each clip.

Letters: S clips of a video, B clips of a batch, Q sentences.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from corpus.moments import Moment
from corpus.records import Query
from models.objectives.base import ClipBatch

LoadClips = Callable[[str, NDArray[np.int64]], NDArray[np.uint8]]  # video id, clip indices -> (n, K, H, W, 3)


@dataclass(frozen=True, slots=True)
class PretrainingVideo:
    """A pretraining video: its number of clips, and the clips covered by each sentence."""

    video_id: str
    num_clips: int
    covers: Mapping[str, NDArray[np.bool_]]  # sentence -> (S,)


def build_pretraining_videos(
    num_clips: Mapping[str, int], queries: Iterable[Query], *, clip_rate_hz: float, reads: Callable[[str], bool]
) -> list[PretrainingVideo]:
    """Find the clips with their centre in a moment of a sentence; `num_clips` lists the videos in order.

    A sentence known to be true in other videos covers their clips too. Sentences without covered clips are left out.
    """
    covers: dict[str, dict[str, NDArray[np.bool_]]] = {video_id: {} for video_id in num_clips}
    for query in queries:
        if not reads(query.text):
            continue
        for video_id, moments in ({query.video_id: query.spans} | dict(query.elsewhere)).items():
            if video_id not in covers:
                continue
            found = find_covered(moments, num_clips[video_id], clip_rate_hz=clip_rate_hz)
            if found.any():
                known = covers[video_id].get(query.text)
                covers[video_id][query.text] = found if known is None else known | found
    return [PretrainingVideo(video_id, count, covers[video_id]) for video_id, count in num_clips.items()]


def find_covered(moments: Sequence[Moment], num_clips: int, *, clip_rate_hz: float) -> NDArray[np.bool_]:
    """Return the mask (S,) of clips with their centre (i + 0.5) / rate in one of the moments."""
    centres = (np.arange(num_clips) + 0.5) / clip_rate_hz
    return _unite(((centres >= moment.start_s) & (centres < moment.end_s) for moment in moments), num_clips)


def choose_clips(video: PretrainingVideo, count: int, generator: np.random.Generator) -> NDArray[np.int64]:
    """Choose `count` distinct clips in order (all if there are fewer), half of them covered by a sentence."""
    count = min(count, video.num_clips)
    covered = np.flatnonzero(_unite(video.covers.values(), video.num_clips))
    inside = generator.choice(covered, min(count // 2, len(covered)), replace=False)
    others = np.setdiff1d(np.arange(video.num_clips), inside)
    return np.sort(np.concatenate([inside, generator.choice(others, count - len(inside), replace=False)])).astype(np.int64)


@dataclass(frozen=True, slots=True)
class ClipData:
    """The videos of a split, and the loader of their clips."""

    videos: Sequence[PretrainingVideo]
    load_clips: LoadClips
    clip_rate_hz: float

    def build_batch(self, rows: Sequence[int], *, clips_per_video: int, generator: np.random.Generator) -> ClipBatch:
        """Sample clips of some videos. A sentence shared by two videos is one row, true in both."""
        videos = [self.videos[row] for row in rows]
        chosen = [choose_clips(video, clips_per_video, generator) for video in videos]
        frames = [self.load_clips(video.video_id, clips) for video, clips in zip(videos, chosen, strict=True)]
        starts = np.concatenate(chosen)[:, None] + np.array([0, 1])  # (B, 2) clips
        texts = sorted({text for video in videos for text in video.covers})
        found = [_find_row(text, videos, chosen) for text in texts]
        covers = np.stack(found) if found else np.zeros((0, len(starts)), dtype=bool)  # (Q, B)
        seen = np.flatnonzero(covers.any(axis=1))
        return ClipBatch(
            frames=np.concatenate(frames),
            video_ids=tuple(video.video_id for video in videos),
            video_index=np.repeat(np.arange(len(videos)), [len(clips) for clips in chosen]),
            spans_s=starts / self.clip_rate_hz,
            texts=tuple(texts[row] for row in seen),
            covers=covers[seen],
        )


def _unite(parts: Iterable[NDArray[np.bool_]], num_clips: int) -> NDArray[np.bool_]:
    united = np.zeros(num_clips, dtype=bool)
    for part in parts:
        united = united | part
    return united


def _find_row(text: str, videos: Sequence[PretrainingVideo], chosen: Sequence[NDArray[np.int64]]) -> NDArray[np.bool_]:
    parts = [
        video.covers[text][clips] if text in video.covers else np.zeros(len(clips), dtype=bool)
        for video, clips in zip(videos, chosen, strict=True)
    ]
    return np.concatenate(parts)
