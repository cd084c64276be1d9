"""Mono samples of the sound of a video, on the time axis of its pictures."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from corpus.media.files.container import open_video
from corpus.media.files.reading import open_media
from corpus.media.files.streams import find_sound
from corpus.media.sound.mixing import mix_to_mono
from corpus.media.sound.placing import Samples, SoundPlacer

_TOLERANCE_S = 0.005  # between sound and its time; with rounded timestamps and resampling, the error stays below 10 ms


def iter_sound(path: Path, rate_hz: int, *, duration_s: float) -> Iterator[Samples] | None:
    """Return the sound of a video in blocks (n,), float32 in [-1, 1]; None without a decodable sound stream.

    Sample i is the sound at i / rate_hz seconds from time 0 of the frames; there are round(duration_s * rate_hz) in total.
    Gaps, damaged packets and times without sound are silent. If two parts overlap, the later one is cut. Memory does not
    grow with the length of the file.

    Raises:
        FileNotFoundError: naming a missing file.
        UndecodableError: naming the file and why it is not a readable video.
    """
    with open_video(path, discard_others=False) as (container, _):
        if find_sound(container) is None:
            return None
    return _iter_blocks(path, rate_hz, round(duration_s * rate_hz))


def _iter_blocks(path: Path, rate_hz: int, num_samples: int) -> Iterator[Samples]:
    placer = SoundPlacer(rate_hz=rate_hz, layout="mono", num_samples=num_samples, tolerance_s=_TOLERANCE_S)
    with open_media(path, with_sound=True) as reader:
        for frame in reader.sounds():
            for block in placer.add(mix_to_mono(frame), reader.tell(frame)):
                yield np.clip(block[0], -1, 1)
            if placer.is_full:
                return
    for block in placer.close():
        yield np.clip(block[0], -1, 1)
