"""Placement of decoded sound on a time axis: continuous from time 0 on, despite gaps and overlaps in the source."""

from collections.abc import Iterator

import av
import numpy as np
from av.audio.frame import AudioFrame
from numpy.typing import NDArray

Samples = NDArray[np.float32]

_LEAP_S = 1.0  # a single frame this far ahead has a wrong time
_BLOCK = 4800  # samples of silence per yielded array


class SoundPlacer:
    """Resampler that puts the frames of one sound stream at their times.

    Missing sound becomes silence: before the first frame, in gaps, after damage, and at the end. If frames overlap, the
    beginning of the later one is left out. So is a single frame whose time lies far after its neighbours. Rate, channels
    and sample format may change between frames; frames that cannot be converted to the layout are left out. `add` and
    `close` are generators of consecutive arrays (channels, n); callers must exhaust each.
    """

    def __init__(self, *, rate_hz: int, layout: str, num_samples: int, tolerance_s: float) -> None:
        """Begin at time 0 and yield `num_samples` in total. Sound may be off its time by `tolerance_s`."""
        self._rate_hz, self._layout, self._length = rate_hz, layout, num_samples
        self._num_channels = av.AudioLayout(layout).nb_channels
        self._tolerance_s = tolerance_s
        self._num_given = 0
        self._num_to_drop = 0
        self._resampler: av.AudioResampler | None = None
        self._form: tuple[str, str, int] | None = None
        self._taken_to_s = 0.0  # end of the sound that was yielded or waits in the resampler
        self._last_start_s: float | None = None
        self._doubtful: tuple[AudioFrame, float] | None = None  # a frame far ahead; the next one confirms its time or not

    @property
    def is_full(self) -> bool:
        """Whether all samples were yielded; further sound lies after the end."""
        return self._num_given >= self._length

    def add(self, frame: AudioFrame, start_s: float | None) -> Iterator[Samples]:
        """Add the next frame. A start of None, or equal to the previous start, means that it follows the previous frame."""
        if not frame.samples or not frame.sample_rate:
            return
        is_told = start_s is not None and start_s != self._last_start_s
        begin_s = start_s if is_told and start_s is not None else self._taken_to_s
        self._last_start_s = start_s
        doubtful, self._doubtful = self._doubtful, None
        if begin_s - self._taken_to_s > _LEAP_S:
            if doubtful is None or not 0 < begin_s - doubtful[1] <= _LEAP_S:
                self._doubtful = frame, begin_s
                return
            yield from self._place(*doubtful)
        yield from self._place(frame, begin_s)

    def close(self) -> Iterator[Samples]:
        """Yield the rest, then silence up to the end."""
        if self._doubtful is not None:
            yield from self._place(*self._doubtful)
        yield from self._flush()
        yield from self._give_silence(self._length - self._num_given)

    def _place(self, frame: AudioFrame, begin_s: float) -> Iterator[Samples]:
        form = (frame.format.name, frame.layout.name, frame.sample_rate)
        if form != self._form or abs(begin_s - self._taken_to_s) > self._tolerance_s:
            yield from self._flush()
            self._form = form
            yield from self._move_to(begin_s)
        yield from self._resample(frame)
        self._taken_to_s += frame.samples / frame.sample_rate

    def _move_to(self, begin_s: float) -> Iterator[Samples]:
        """Move to a time: yield silence up to it, or drop sound that overlaps earlier sound."""
        missing = round(begin_s * self._rate_hz) - self._num_given
        if abs(missing) <= self._tolerance_s * self._rate_hz and self._num_given:
            missing = 0  # sound of another format follows and joins the previous sound
        yield from self._give_silence(missing)
        self._num_to_drop = max(0, -missing)
        self._taken_to_s = (self._num_given - self._num_to_drop) / self._rate_hz

    def _resample(self, frame: AudioFrame | None) -> Iterator[Samples]:
        if self._resampler is None:
            self._resampler = av.AudioResampler(format="fltp", layout=self._layout, rate=self._rate_hz)
        if frame is not None:
            frame.pts = None
        try:
            resampled = self._resampler.resample(frame)
        except av.error.MemoryError:
            raise
        except (av.error.FFmpegError, ValueError):  # a gap, for example at channels without a known position
            self._resampler, self._form = None, None
            return
        for one in resampled:
            yield from self._give(np.asarray(one.to_ndarray(), dtype=np.float32))

    def _flush(self) -> Iterator[Samples]:
        if self._resampler is not None:
            yield from self._resample(None)
        self._resampler, self._form = None, None
        self._num_to_drop = 0
        self._taken_to_s = self._num_given / self._rate_hz

    def _give_silence(self, num_samples: int) -> Iterator[Samples]:
        end = min(self._num_given + num_samples, self._length)
        while self._num_given < end:
            yield from self._give(np.zeros((self._num_channels, min(_BLOCK, end - self._num_given)), dtype=np.float32))

    def _give(self, samples: Samples) -> Iterator[Samples]:
        """Yield samples, (channels, n), without the dropped ones and those after the end."""
        dropped = min(self._num_to_drop, samples.shape[1])
        self._num_to_drop -= dropped
        kept = np.ascontiguousarray(samples[:, dropped : dropped + self._length - self._num_given])
        if kept.shape[1]:
            self._num_given += kept.shape[1]
            yield kept
