"""Frames at given times."""

from pathlib import Path

import numpy as np

from corpus.media.displayed import Seconds, iter_displayed
from corpus.media.scaling import Images, Scaler


def read_frames(path: Path, times_s: Seconds, size_px: int, *, num_threads: int = 1) -> Images:
    """Return the frames on display at the given times, in the order asked: (T,) -> (T, H, W, 3).

    That is the last frame whose start is not after the time; before the first frame it is the first one. In a long file
    with an index, only what lies between the key frames before the times and the times is read.

    Raises:
        FileNotFoundError: naming a file that is not there.
        UndecodableError: naming the file and why it cannot be decoded.
    """
    times_s = np.asarray(times_s, dtype=np.float64)
    order = np.argsort(times_s, kind="stable")
    images = np.empty((len(times_s), size_px, size_px, 3), dtype=np.uint8)
    scaler = Scaler(size_px)
    for first, end, frame in iter_displayed(path, times_s[order], num_threads=num_threads):
        images[order[first:end]] = scaler.scale(frame)
    return images
