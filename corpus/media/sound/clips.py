"""Sound clips: the input of sound encoders.

Letters: S clips of a video, T samples of a clip.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from pydantic import PositiveFloat, PositiveInt

from corpus.media.clip_grid import count_clips
from corpus.media.sound.placing import Samples
from corpus.media.sound.samples import iter_sound
from corpus.params import Params


class SoundSampling(Params):
    """Sampling of the sound of a clip. It is part of every sound encoder's schema and of the feature fingerprint.

    Clip i of a video is centred at (i + 0.5) / clip_rate_hz seconds.
    """

    kind: Literal["sound"] = "sound"
    clip_rate_hz: PositiveFloat  # clips per second
    window_s: PositiveFloat  # length of a clip
    rate_hz: PositiveInt  # samples per second

    @property
    def num_samples(self) -> int:
        """T, at least 1."""
        return max(1, round(self.window_s * self.rate_hz))


def iter_sound_clips(
    path: Path,
    sampling: SoundSampling,
    *,
    duration_s: float,
    clips_per_batch: int = 64,
    has_sound: bool = True,
    first_clip: int = 0,
) -> Iterator[Samples]:
    """Yield the sound of a video's clips in order, as batches (n, T) with n <= `clips_per_batch`, in one decoding pass.

    The number of clips is `count_clips`. A clip holds zeros outside the video, and everywhere in a video without sound.
    `has_sound=False` marks a video whose sound counts as missing; its file is not read. Memory holds the samples of one
    batch, for videos of any length. Clips before `first_clip`, a multiple of `clips_per_batch`, are left out.

    Raises:
        FileNotFoundError: naming a missing file.
        UndecodableError: naming the file and why it is not a readable video.
    """
    num_clips, num_samples = count_clips(duration_s, sampling.clip_rate_hz), sampling.num_samples
    centres_s = (np.arange(num_clips) + 0.5) / sampling.clip_rate_hz  # (S,)
    starts = np.rint(centres_s * sampling.rate_hz - num_samples / 2).astype(np.int64)  # (S,)
    blocks = iter_sound(path, sampling.rate_hz, duration_s=duration_s) if has_sound else None
    tape = _Tape(blocks if blocks is not None else iter(()))
    for first in range(0, num_clips, clips_per_batch):
        here = starts[first : first + clips_per_batch]
        samples = tape.read(int(here[0]), int(here[-1]) + num_samples)
        if first >= first_clip:
            yield np.ascontiguousarray(sliding_window_view(samples, num_samples)[here - here[0]])


class _Tape:
    """Sliding buffer over blocks of samples. It gives zeros outside the blocks; starts must not run backwards."""

    def __init__(self, blocks: Iterator[Samples]) -> None:
        self._blocks = blocks
        self._held: Samples = np.empty(0, dtype=np.float32)
        self._first = 0  # number of the first held sample

    def read(self, start: int, end: int) -> Samples:
        """Return the samples with these numbers, (end - start,)."""
        self._hold(start, end)
        samples = np.zeros(end - start, dtype=np.float32)
        offset = self._first - start
        kept = self._held[max(0, -offset) : max(0, end - self._first)]
        at = max(0, offset)
        samples[at : at + len(kept)] = kept
        return samples

    def _hold(self, start: int, end: int) -> None:
        """Drop samples before the start, and read on to the end."""
        parts, num_held = [self._held], len(self._held)
        while self._first + num_held < end and (block := next(self._blocks, None)) is not None:
            parts.append(block)
            num_held += len(block)
        held = np.concatenate(parts)
        num_passed = min(max(0, start - self._first), len(held))
        self._held, self._first = held[num_passed:].copy(), self._first + num_passed
