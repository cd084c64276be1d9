"""Clips of any stream: pictures or sound, chosen by the sampling of the stream."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from pydantic import Field

from corpus.media.pictures.clips import ClipSampling, iter_clips
from corpus.media.pictures.displayed import Display
from corpus.media.pictures.upright import Images
from corpus.media.sound.clips import SoundSampling, iter_sound_clips
from corpus.media.sound.placing import Samples

StreamSampling = Annotated[ClipSampling | SoundSampling, Field(discriminator="kind")]


def iter_stream_clips(
    path: Path,
    sampling: ClipSampling | SoundSampling,
    *,
    duration_s: float,
    clips_per_batch: int = 64,
    num_threads: int = 1,
    has_sound: bool = True,
    first_clip: int = 0,
    display: Display | None = None,
) -> Iterator[Images] | Iterator[Samples]:
    """Yield the clips of a video in order: (n, K, H, W, 3) uint8 of pictures, (n, T) float32 of sound.

    The number of clips is `count_clips(duration_s, sampling.clip_rate_hz)`. `num_threads` decode pictures. `has_sound` is
    False for a video whose sound counts as missing; its clips are silent. Clips before `first_clip` are left out.
    `display` gives the frames of pictures; see `iter_clips`.

    Raises:
        FileNotFoundError: naming a missing file.
        UndecodableError: naming the file and why it cannot be decoded.
    """
    if isinstance(sampling, SoundSampling):
        return iter_sound_clips(
            path, sampling, duration_s=duration_s, clips_per_batch=clips_per_batch, has_sound=has_sound, first_clip=first_clip
        )
    return iter_clips(
        path,
        sampling,
        duration_s=duration_s,
        clips_per_batch=clips_per_batch,
        num_threads=num_threads,
        first_clip=first_clip,
        display=display,
    )
