"""Long videos: cut into windows as long as what models were trained on. NumPy only, shared by training and serving."""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from corpus.moments import ClipResampler, Floats, Ints, compute_clip_rate


@dataclass(frozen=True, slots=True)
class WindowRule:
    """How a video is cut that is longer than those a localizer was made for."""

    window_s: float  # length of a window; a shorter video is read whole
    overlap: float = 0.5  # share of a window that the next one repeats, at least: moments up to that long are seen whole

    def __post_init__(self) -> None:
        """Refuse windows without length."""
        if not 0 < self.window_s < float("inf"):
            raise ValueError(f"a window needs a length above 0 s, got window_s={self.window_s}")


class Window(NamedTuple):
    """A part of a video that a localizer reads at once: its clips [first, end), and its time in the video."""

    first: int
    end: int
    start_s: float
    end_s: float

    @property
    def duration_s(self) -> float:
        """The length in seconds."""
        return self.end_s - self.start_s


class WindowId(NamedTuple):
    """A window of a video, numbered from 0 in the order of time."""

    video_id: str
    number: int


def cut_video(num_clips: int, duration_s: float, rule: WindowRule, *, clip_rate_hz: float | None) -> tuple[Window, ...]:
    """Return the windows of a video in order; a video no longer than a window is one, from 0 to `duration_s`.

    Without a clip rate, the clips span the video evenly.
    """
    rate_hz = compute_clip_rate(clip_rate_hz, num_clips=num_clips, duration_s=duration_s)
    bounds = compute_windows(num_clips, max(1, round(rule.window_s * rate_hz)), overlap=rule.overlap)
    return tuple(
        Window(int(first), int(end), float(first / rate_hz), duration_s if end == num_clips else float(end / rate_hz))
        for first, end in bounds
    )


def compute_windows(num_clips: int, window_clips: int, *, overlap: float) -> Ints:
    """Return the windows in which a video is searched, as (first, end) clips in order: (W, 2).

    All are `window_clips` long and share at least `overlap` of it with the next one, so a moment up to that long lies in one
    of them whole. The last one ends with the video and may share more. A video no longer than a window is one window.

    Raises:
        ValueError: when there is no clip, a window holds none, or overlap is not in [0, 1).
    """
    if num_clips < 1 or window_clips < 1 or not 0 <= overlap < 1:
        raise ValueError(
            "compute_windows needs num_clips >= 1, window_clips >= 1 and 0 <= overlap < 1, "
            f"got {num_clips}, {window_clips} and {overlap}"
        )
    last = max(num_clips - window_clips, 0)
    stride = max(1, int(window_clips * (1 - overlap)))
    first = np.minimum(np.arange(-(-last // stride) + 1) * stride, last)  # (W,)
    return np.stack([first, np.minimum(first + window_clips, num_clips)], axis=1)


def resample_windows(batches: Iterable[Floats], windows: Iterable[Window], num_cells: int) -> Iterator[Floats]:
    """Average the clips of each window into `num_cells` cells: (n, ...) of all clips in order -> (N, ...) float32 a window.

    The windows are those of `cut_video`, in order; memory holds the sums of those that overlap, whatever the video's length.
    """
    waiting, opened = deque(windows), deque[tuple[Window, ClipResampler]]()
    start = 0
    for features in batches:
        stop = start + len(features)
        while waiting and waiting[0].first < stop:
            window = waiting.popleft()
            opened.append((window, ClipResampler(window.end - window.first, num_cells)))
        for window, resampler in opened:
            resampler.add(features[max(window.first - start, 0) : window.end - start])
        while opened and opened[0][0].end <= stop:
            yield opened.popleft()[1].compute_means()
        start = stop
