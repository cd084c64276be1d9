"""The clips that encoders see.

Letters: S clips of a video, K frames of a clip, H = W = `size_px`.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, PositiveFloat, PositiveInt

from corpus.media.displayed import Seconds, iter_displayed
from corpus.media.scaling import Images, Scaler
from corpus.params import Params


class ClipSampling(Params):
    """Which frames make a clip: part of every encoder's schema and of the feature fingerprint.

    Clip i of a video is centred at (i + 0.5) / clip_rate_hz seconds.
    """

    clip_rate_hz: PositiveFloat  # clips per second
    offsets_s: tuple[float, ...] = Field(min_length=1)  # times of its K frames around the centre
    size_px: PositiveInt  # frames are squares of this size


def compute_clip_times(duration_s: float, sampling: ClipSampling) -> Seconds:
    """Return the times of every clip's frames, (S, K), within [0, duration_s).

    S = max(1, round(duration_s * clip_rate_hz)), halves to even.
    """
    num_clips = max(1, round(duration_s * sampling.clip_rate_hz))
    centres_s = (np.arange(num_clips) + 0.5) / sampling.clip_rate_hz  # (S,)
    times_s = centres_s[:, None] + np.asarray(sampling.offsets_s, dtype=np.float64)  # (S, K)
    return np.clip(times_s, 0.0, np.nextafter(duration_s, 0.0))


def iter_clips(
    path: Path, sampling: ClipSampling, *, duration_s: float, clips_per_batch: int = 64, num_threads: int = 1
) -> Iterator[Images]:
    """Yield the clips of a video in order, as batches (n, K, H, W, 3) with n <= `clips_per_batch`, in one decoding pass.

    Memory holds the few batches whose clips overlap, whatever the video's length. The bytes are the same for any number
    of threads.

    Raises:
        FileNotFoundError: naming a file that is not there.
        UndecodableError: naming the file and why it cannot be decoded.
    """
    times_s = compute_clip_times(duration_s, sampling)
    num_clips, num_offsets = times_s.shape
    order = np.argsort(times_s, axis=None, kind="stable")  # (S * K,)
    places = _locate(order, num_offsets, clips_per_batch)
    scaler = Scaler(sampling.size_px)
    open_batches: dict[int, _Batch] = {}
    next_number = 0
    for first, end, frame in iter_displayed(path, times_s.ravel()[order], num_threads=num_threads):
        image = scaler.scale(frame)
        for number, row, offset in places[first:end]:
            batch = open_batches.get(number)
            if batch is None:
                size = min(clips_per_batch, num_clips - number * clips_per_batch)
                batch = open_batches[number] = _Batch(size, num_offsets, sampling.size_px)
            batch.clips[row, offset] = image
            batch.num_missing -= 1
            while batch.num_missing == 0 and next_number in open_batches and open_batches[next_number].num_missing == 0:
                yield open_batches.pop(next_number).clips
                next_number += 1


class _Batch:
    """Clips, some frames of which are still missing."""

    def __init__(self, num_clips: int, num_offsets: int, size_px: int) -> None:
        self.clips: Images = np.empty((num_clips, num_offsets, size_px, size_px, 3), dtype=np.uint8)
        self.num_missing = num_clips * num_offsets


def _locate(order: NDArray[np.int64], num_offsets: int, clips_per_batch: int) -> list[list[int]]:
    """Return (batch, row in it, offset) of each place in the flat order of the times."""
    clips, offsets = np.divmod(order, num_offsets)
    batches, rows = np.divmod(clips, clips_per_batch)
    located: list[list[int]] = np.stack([batches, rows, offsets], axis=1).tolist()
    return located
