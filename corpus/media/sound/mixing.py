"""Mixing of sound to one channel."""

import av
import numpy as np
from av.audio.frame import AudioFrame

from corpus.media.sound.placing import Samples

_ZERO_AND_FULL = {"u1": (128, 1 << 7), "i2": (0, 1 << 15), "i4": (0, 1 << 31)}  # of integer samples, by type


def mix_to_mono(frame: AudioFrame) -> AudioFrame:
    """Return a frame with the mean of all channels, float in [-1, 1], at the frame's own rate.

    The mean is the convention of audio models (torchaudio, librosa). FFmpeg's own mix sums channels beyond 1 and refuses
    channels without a known position.
    """
    mono = AudioFrame.from_ndarray(read_channels(frame).mean(axis=0, dtype=np.float32)[None], format="fltp", layout="mono")
    mono.sample_rate = frame.sample_rate
    return mono


def read_channels(frame: AudioFrame) -> Samples:
    """Return the samples of a frame as (channels, samples) in [-1, 1]; NaN becomes silence."""
    if frame.format.name not in av.audio.frame.format_dtypes:
        (frame,) = av.AudioResampler(format="dblp", layout=frame.layout, rate=frame.sample_rate).resample(frame)
    values = frame.to_ndarray()
    if not frame.format.is_planar:
        values = values.reshape(-1, frame.layout.nb_channels).T
    zero, full = _ZERO_AND_FULL.get(values.dtype.str[1:], (0, 1))
    samples = (values.astype(np.float32) - np.float32(zero)) / np.float32(full)
    clipped: Samples = np.clip(np.nan_to_num(samples, nan=0.0, posinf=1.0, neginf=-1.0), -1, 1)
    return clipped
