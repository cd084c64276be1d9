"""Picture clips: the input of video encoders.

Letters: S clips of a video, K frames of a clip, H = W = `size_px`.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, PositiveFloat, PositiveInt

from corpus.media.clip_grid import count_clips
from corpus.media.pictures.displayed import Display, Seconds, iter_displayed
from corpus.media.pictures.preparation import PicturePreparation
from corpus.media.pictures.scaling import Scaler
from corpus.media.pictures.upright import Images
from corpus.params import Params


class ClipSampling(Params):
    """Sampling of the frames of a clip. It is part of every encoder's schema and of the feature fingerprint.

    Clip i of a video is centred at (i + 0.5) / clip_rate_hz seconds.
    """

    kind: Literal["pictures"] = "pictures"
    clip_rate_hz: PositiveFloat  # clips per second
    offsets_s: tuple[float, ...] = Field(min_length=1)  # of the K frames, relative to the centre
    size_px: PositiveInt  # frames are squares of this size
    preparation: PicturePreparation = PicturePreparation()
    # Levels of 255: a clip that differs by less from the clip encoded last reuses its features; 0 encodes every clip, and is left
    # out of hashes. See `near_duplicates`.
    reuse_below: float = Field(default=0.0, ge=0, le=255, exclude_if=lambda value: value == 0)


def compute_clip_times(duration_s: float, sampling: ClipSampling) -> Seconds:
    """Return the times of every clip's frames, (S, K), within [0, duration_s).

    S comes from `count_clips`.
    """
    num_clips = count_clips(duration_s, sampling.clip_rate_hz)
    centres_s = (np.arange(num_clips) + 0.5) / sampling.clip_rate_hz  # (S,)
    times_s = centres_s[:, None] + np.asarray(sampling.offsets_s, dtype=np.float64)  # (S, K)
    return np.clip(times_s, 0.0, np.nextafter(duration_s, 0.0))


def iter_clips(
    path: Path,
    sampling: ClipSampling,
    *,
    duration_s: float,
    clips_per_batch: int = 64,
    num_threads: int = 1,
    first_clip: int = 0,
    display: Display | None = None,
) -> Iterator[Images]:
    """Yield the clips of a video in order, as batches (n, K, H, W, 3) with n <= `clips_per_batch`, in one decoding pass.

    Memory holds only the few batches whose clips overlap, for videos of any length. Any number of threads gives the same
    bytes. Clips before `first_clip` are left out; a seek skips them if the file has an index.
    Frames come from `display`, by default from `iter_displayed`.

    Raises:
        FileNotFoundError: naming a missing file.
        UndecodableError: naming the file and why it cannot be decoded.
    """
    times_s = compute_clip_times(duration_s, sampling)[first_clip:]
    num_clips, num_offsets = times_s.shape
    order = np.argsort(times_s, axis=None, kind="stable")  # (S * K,)
    places = _locate(order, num_offsets, clips_per_batch)
    scaler = Scaler(sampling.size_px, sampling.preparation)
    open_batches: dict[int, _Batch] = {}
    next_number = 0
    display = display or partial(iter_displayed, path, num_threads=num_threads)
    for first, end, frame, pixel_aspect in display(times_s.ravel()[order]):
        image = scaler.scale(frame, pixel_aspect)
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
    """Clips that still miss frames."""

    def __init__(self, num_clips: int, num_offsets: int, size_px: int) -> None:
        self.clips: Images = np.empty((num_clips, num_offsets, size_px, size_px, 3), dtype=np.uint8)
        self.num_missing = num_clips * num_offsets


def _locate(order: NDArray[np.int64], num_offsets: int, clips_per_batch: int) -> list[list[int]]:
    """Return (batch, row in it, offset) of each place in the flat order of the times."""
    clips, offsets = np.divmod(order, num_offsets)
    batches, rows = np.divmod(clips, clips_per_batch)
    located: list[list[int]] = np.stack([batches, rows, offsets], axis=1).tolist()
    return located
