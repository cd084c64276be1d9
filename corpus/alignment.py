"""Temporal alignment of streams: finds the clips of one stream that match the clips of another. NumPy only.

Letters: G clips of the grid, S clips of the stream that is aligned to the grid. Clip i of a stream lasts from
i / clip_rate_hz to (i + 1) / clip_rate_hz seconds.
"""

import numpy as np

from corpus.moments import Floats, Ints, compute_clip_rate
from corpus.windows import Window, average_ranges


def find_matching_clips(num_grid_clips: int, grid_rate_hz: float, *, num_clips: int, clip_rate_hz: float) -> Ints:
    """Return the clips [first, end) of a stream that each grid clip averages: (G, 2), at least one clip each.

    Clip i of the grid averages clips round(i * ratio) up to round((i + 1) * ratio), with ratio = clip_rate_hz /
    grid_rate_hz. If that range is empty, it takes the single clip at its start; past the end of the stream, the last clip.
    """
    edges = np.round(np.arange(num_grid_clips + 1) * (clip_rate_hz / grid_rate_hz)).astype(np.int64)
    first = np.minimum(edges[:-1], num_clips - 1)  # (G,)
    return np.stack([first, np.minimum(np.maximum(edges[1:], first + 1), num_clips)], axis=1)


def align_clips(features: Floats, num_grid_clips: int, grid_rate_hz: float, *, clip_rate_hz: float) -> Floats:
    """Average the clips of a stream over the clips of a grid: (S, P, D) -> (G, P, D) float32; see `find_matching_clips`."""
    ranges = find_matching_clips(num_grid_clips, grid_rate_hz, num_clips=len(features), clip_rate_hz=clip_rate_hz)
    aligned: Floats = np.stack(list(average_ranges([features], ranges)))
    return aligned


def match_window(window: Window, *, num_clips: int, duration_s: float, clip_rate_hz: float | None) -> Window:
    """Return the same time interval in clips of another stream, at least one clip. Without a rate, clips span the video evenly.

    A window that ends with the video takes all clips to the end.
    """
    rate_hz = compute_clip_rate(clip_rate_hz, num_clips=num_clips, duration_s=duration_s)
    first = min(round(window.start_s * rate_hz), num_clips - 1)
    end = num_clips if window.end_s >= duration_s else min(round(window.end_s * rate_hz), num_clips)
    return window._replace(first=first, end=max(end, first + 1))
