"""The clips that encoders see.

Letters: S clips of a video, K frames of a clip, H = W = `size_px`.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
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
    places = np.stack(np.divmod(order, num_offsets), axis=1).tolist()  # (clip, offset) of each time
    scaler = Scaler(sampling.size_px)
    open_batches: dict[int, tuple[Images, list[int]]] = {}  # number -> (clips, [frames still missing])
    next_number = 0
    for first, end, frame in iter_displayed(path, times_s.ravel()[order], num_threads=num_threads):
        image = scaler.scale(frame)
        for clip, offset in places[first:end]:
            number, row = divmod(clip, clips_per_batch)
            if number not in open_batches:
                size = min(clips_per_batch, num_clips - number * clips_per_batch)
                shape = (size, num_offsets, sampling.size_px, sampling.size_px, 3)
                open_batches[number] = (np.empty(shape, dtype=np.uint8), [size * num_offsets])
            clips, missing = open_batches[number]
            clips[row, offset] = image
            missing[0] -= 1
            while next_number in open_batches and open_batches[next_number][1] == [0]:
                yield open_batches.pop(next_number)[0]
                next_number += 1
