"""Layout of a clip index: the clips and windows of each video. Letters: W windows of a video."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TypeVar

import numpy as np

from corpus.moments import Ints
from corpus.windows import Window, WindowId

T = TypeVar("T")


@dataclass(frozen=True)
class ClipLayout:
    """The videos of an index. Immutable: `add` and `remove` return a new layout.

    `clip_rate_hz` is one rate for all videos, or a rate per video id. `windows` holds the clips [first, end) of each window,
    (W, 2), only for videos with more than one window.
    """

    num_clips: Mapping[str, int]  # of each video
    clip_rate_hz: float | Mapping[str, float]
    windows: Mapping[str, Ints]

    @cached_property
    def total(self) -> int:
        """The number of clips of all videos together."""
        return sum(self.num_clips.values())

    def get_clip_rate(self, video_id: str) -> float:
        """Return the clips per second of a video."""
        return self.clip_rate_hz[video_id] if isinstance(self.clip_rate_hz, Mapping) else self.clip_rate_hz

    def list_windows(self, video_id: str, clip: int) -> list[WindowId]:
        """Return the windows that hold a clip."""
        bounds = self.windows.get(video_id)
        if bounds is None:
            return [WindowId(video_id, 0)]
        return [WindowId(video_id, int(number)) for number in np.flatnonzero((bounds[:, 0] <= clip) & (clip < bounds[:, 1]))]

    def get_clips(self, window: WindowId) -> slice:
        """Return the clips of its video that a window holds."""
        bounds = self.windows.get(window.video_id)
        return slice(None) if bounds is None else slice(*map(int, bounds[window.number]))

    def require(self, video_id: str) -> None:
        """Refuse a video that is not in the index.

        Raises:
            KeyError: naming the video.
        """
        if video_id not in self.num_clips:
            raise KeyError(f"the video {video_id!r} is not in the index; run: dvc repro index")

    def add(self, video_id: str, num_clips: int, *, clip_rate_hz: float, windows: Sequence[Window]) -> "ClipLayout":
        """Return a layout with one more video.

        Raises:
            ValueError: when the video is in the index already.
        """
        if video_id in self.num_clips:
            raise ValueError(f"the video {video_id!r} is in the index already")
        rate = self.clip_rate_hz
        return ClipLayout(
            {**self.num_clips, video_id: num_clips},
            {**rate, video_id: clip_rate_hz} if isinstance(rate, Mapping) else rate,
            {**self.windows, video_id: list_bounds(windows)} if len(windows) > 1 else self.windows,
        )

    def remove(self, video_id: str) -> "ClipLayout":
        """Return a layout that lacks a video.

        Raises:
            KeyError: naming a video that is not in the index.
        """
        self.require(video_id)
        rate = self.clip_rate_hz
        return replace(
            self,
            num_clips=_leave_out(self.num_clips, video_id),
            clip_rate_hz=_leave_out(rate, video_id) if isinstance(rate, Mapping) else rate,
            windows=_leave_out(self.windows, video_id),
        )


def list_bounds(windows: Sequence[Window]) -> Ints:
    """Return the clips [first, end) of windows, (W, 2)."""
    return np.array([[window.first, window.end] for window in windows], dtype=np.int64)


def _leave_out(values: Mapping[str, T], key: str) -> dict[str, T]:
    return {name: value for name, value in values.items() if name != key}
