"""Reading of frames at given times."""

from pathlib import Path

import numpy as np

from corpus.media.pictures.displayed import Seconds, iter_displayed
from corpus.media.pictures.scaling import Scaler
from corpus.media.pictures.upright import Images


def read_frames(path: Path, times_s: Seconds, size_px: int, *, num_threads: int = 1) -> Images:
    """Return the frames on display at the given times, in the given order: (T,) -> (T, H, W, 3).

    The frame on display is the last one whose start is not after the time, or the first frame before any start. In a long
    file with an index, the reader seeks to the key frame before each time.

    Raises:
        FileNotFoundError: naming a missing file.
        UndecodableError: naming the file and why it cannot be decoded.
    """
    times_s = np.asarray(times_s, dtype=np.float64)
    order = np.argsort(times_s, kind="stable")
    images = np.empty((len(times_s), size_px, size_px, 3), dtype=np.uint8)
    scaler = Scaler(size_px)
    for shown in iter_displayed(path, times_s[order], num_threads=num_threads):
        images[order[shown.first : shown.end]] = scaler.scale(shown.frame, shown.pixel_aspect)
    return images
