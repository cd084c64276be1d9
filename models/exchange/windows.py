"""Long videos: a localizer reads one window after another, and the best candidates of all windows answer.

Letters: Q queries, S clips, P places, D width, M candidates of a window, K candidates that are kept.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from corpus.moments import rank_candidates
from corpus.store import Half
from corpus.windows import Window, WindowRule, cut_video
from models.exchange.batches import TextFeatures
from models.exchange.inputs import Predictions, average_clips, select_text, stack_videos
from models.exchange.roles import Localizer


@dataclass(frozen=True, slots=True)
class LongVideo:
    """The clips of one video; a memory-mapped array is read window by window."""

    clips: Half  # (S, P, D)
    duration_s: float
    clip_rate_hz: float | None = None  # none: the clips span the video evenly

    def cut(self, rule: WindowRule) -> Iterator[tuple[Half, Window]]:
        """Yield the clips of each window with the window."""
        for window in cut_video(len(self.clips), self.duration_s, rule, clip_rate_hz=self.clip_rate_hz):
            yield self.clips[window.first : window.end], window


def predict_in_windows(
    localizer: Localizer,
    video: LongVideo,
    text: TextFeatures,
    *,
    rule: WindowRule,
    max_candidates: int | None = None,
    batch_size: int = 64,
) -> Predictions:
    """Localize every query of `text` in one video and return its K best candidates of all windows, best first.

    K is `max_candidates`, or as many as a window gives. What is held at once does not grow with the video: the clips of one
    window, a batch of candidates, and those that are kept. Windows see moments twice, so what reads the candidates must
    suppress overlaps.
    """
    kept: Predictions | None = None
    for found in iterate_windows(localizer, video, text, rule=rule, batch_size=batch_size):
        limit = found.scores.shape[1] if max_candidates is None else max_candidates
        kept = _keep_best([found] if kept is None else [kept, found], limit)
    assert kept is not None  # every video has a window
    return kept


@torch.no_grad()
def iterate_windows(
    localizer: Localizer, video: LongVideo, text: TextFeatures, *, rule: WindowRule, batch_size: int = 64
) -> Iterator[Predictions]:
    """Yield the candidates of each window for every query, in seconds of the video."""
    for clips, window in video.cut(rule):
        cells = average_clips(clips, localizer.num_cells)
        parts = []
        for rows in torch.split(torch.arange(len(text.mask)), batch_size):
            inputs = stack_videos([cells] * len(rows), [window.duration_s] * len(rows))
            found = localizer(inputs, select_text(text, rows))
            parts.append(Predictions((found.spans + window.start_s).numpy(), found.scores.numpy(), found.valid.numpy()))
        yield _concatenate(parts, axis=0)


def _keep_best(parts: list[Predictions], max_kept: int) -> Predictions:
    every = _concatenate(parts, axis=1)
    columns = rank_candidates(every.scores, every.valid, max_kept=max_kept)  # (Q, K)
    return Predictions(
        spans=np.take_along_axis(every.spans, columns[..., None], axis=1),
        scores=np.take_along_axis(every.scores, columns, axis=1),
        valid=np.take_along_axis(every.valid, columns, axis=1),
    )


def _concatenate(parts: list[Predictions], *, axis: int) -> Predictions:
    return Predictions(*(np.concatenate(arrays, axis=axis) for arrays in zip(*parts, strict=True)))
