"""Sound as AAC without gaps, from time 0 to the end of the pictures."""

from collections.abc import Iterable
from fractions import Fraction
from typing import Any

from av.audio.frame import AudioFrame
from av.container import OutputContainer

from corpus.media.sound.placing import Samples, SoundPlacer

_RATE_HZ = 48000
_LAYOUT = "stereo"
_TICK = Fraction(1, _RATE_HZ)
_TOLERANCE_S = 0.02  # largest error of a sound's time: half of what people notice, more than the rounding of timestamps


class SoundWriter:
    """Encodes the frames of one sound stream, each at its time; see `SoundPlacer` for gaps, overlaps and wrong times."""

    def __init__(self, output: OutputContainer, *, length_s: float) -> None:
        """Add a stream to a file that was just opened; it will last from 0 to `length_s`."""
        self._output = output
        self._stream: Any = output.add_stream("aac", rate=_RATE_HZ, layout=_LAYOUT)
        num_samples = round(length_s * _RATE_HZ)
        self._placer = SoundPlacer(rate_hz=_RATE_HZ, layout=_LAYOUT, num_samples=num_samples, tolerance_s=_TOLERANCE_S)
        self._num_written = 0

    def write(self, frame: AudioFrame, start_s: float | None) -> None:
        """Encode the next frame. It follows the frame before if `start_s` is None or the start of that frame again."""
        self._encode(self._placer.add(frame, start_s))

    def close(self) -> None:
        """Complete the stream with silence up to its end."""
        self._encode(self._placer.close())
        self._output.mux(self._stream.encode())

    def _encode(self, blocks: Iterable[Samples]) -> None:
        for samples in blocks:
            frame = AudioFrame.from_ndarray(samples, format="fltp", layout=_LAYOUT)
            frame.sample_rate, frame.pts, frame.time_base = _RATE_HZ, self._num_written, _TICK
            self._num_written += samples.shape[1]
            self._output.mux(self._stream.encode(frame))
