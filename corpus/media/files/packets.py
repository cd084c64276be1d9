"""Packets of pictures and sound in file order, read without decoding."""

from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, NamedTuple

import av
import numpy as np
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.video.stream import VideoStream
from numpy.typing import NDArray

from corpus.media.files.container import has_own_clock

_MAX_ERRORS = 100  # consecutive read errors
_MAX_REORDERED, _MAX_REORDERED_S = 20, 2.0  # pictures or seconds between decoding and display; H.264 and HEVC allow 16 pictures

Seconds = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Track:
    """The N packets of one stream in file order, with the times stored in the file."""

    places: NDArray[np.int64]  # (N,) position among all packets
    pts_s: Seconds  # (N,) presentation time, NaN if missing
    dts_s: Seconds  # (N,) decoding time, NaN if missing
    lengths_s: Seconds  # (N,) 0 if unknown
    is_key: NDArray[np.bool_]  # (N,)
    is_shown: NDArray[np.bool_]  # (N,) False for packets that an edit list leaves out

    @property
    def num_packets(self) -> int:
        """N."""
        return len(self.places)

    @property
    def stamps_s(self) -> Seconds:
        """Presentation times, with decoding times in place of missing ones: (N,)."""
        return np.where(np.isnan(self.pts_s), self.dts_s, self.pts_s)


@dataclass(slots=True)
class _Builder:
    """Collects the packets of one stream."""

    tick_s: Fraction
    places: "array[int]" = field(default_factory=lambda: array("q"))
    values: "array[float]" = field(default_factory=lambda: array("d"))
    flags: bytearray = field(default_factory=bytearray)

    def add(self, place: int, packet: Any) -> None:
        pts, dts, (ticks, of) = packet.pts, packet.dts, self.tick_s.as_integer_ratio()
        self.places.append(place)
        self.values.append(float("nan") if pts is None else pts * ticks / of)
        self.values.append(float("nan") if dts is None else dts * ticks / of)
        self.values.append((packet.duration or 0) * ticks / of)
        self.flags.append(2 * packet.is_keyframe + (not packet.is_discard))

    def build(self) -> Track:
        values = np.frombuffer(self.values, dtype=np.float64).reshape(-1, 3)
        flags = np.frombuffer(self.flags, dtype=np.uint8)
        places = np.frombuffer(self.places, dtype=np.int64)
        return Track(places, values[:, 0], values[:, 1], values[:, 2], (flags & 2) > 0, (flags & 1) > 0)


class Contents(NamedTuple):
    """All packets of the pictures and of the sound of a file."""

    video: Track
    sound: Track | None
    num_read_errors: int


def is_last(packet: Any) -> bool:
    """Tell whether a packet marks the end of its stream. An empty packet with a time is a repeated picture instead."""
    return packet.size == 0 and packet.pts is None and packet.dts is None


class PacketReader:
    """Reader of the packets of some streams of a freshly opened file. It counts read errors and skips them."""

    def __init__(self, container: InputContainer, streams: list[Any]) -> None:
        """Read these streams."""
        self._container = container
        self._streams = streams
        self._has_own_clock = has_own_clock(container)
        self.num_errors = 0

    def __iter__(self) -> Iterator[Any]:
        """Yield the packets of the streams in file order, without the end marks."""
        num_in_row = 0
        while num_in_row <= _MAX_ERRORS:
            try:
                for packet in self._container.demux(self._streams):
                    num_in_row = 0
                    if not is_last(packet):
                        if not self._has_own_clock:
                            _undo_mix_up(packet)
                        yield packet
            except av.error.MemoryError:
                raise
            except av.error.FFmpegError:
                self.num_errors += 1
                num_in_row += 1
            except IndexError:  # PyAV raises it after the last packet of a file in which a stream appeared late
                return
            else:
                return


def _undo_mix_up(packet: Any) -> None:
    """Drop a presentation time that belongs to another part: FFmpeg's parsers mix up the two sides of a clock leap."""
    if packet.pts is None or packet.dts is None:
        return
    rate = float(getattr(packet.stream, "average_rate", None) or _MAX_REORDERED)
    if abs(packet.pts - packet.dts) * float(packet.time_base) > max(_MAX_REORDERED_S, _MAX_REORDERED / rate):
        packet.pts = packet.dts


def read_contents(container: InputContainer, video: VideoStream, sound: AudioStream | None) -> Contents:
    """Read every packet of the pictures and of the sound of a freshly opened file."""
    streams = [stream for stream in (video, sound) if stream is not None]
    builders = {stream.index: _Builder(stream.time_base or Fraction(0)) for stream in streams}
    reader = PacketReader(container, streams)
    for place, packet in enumerate(reader):
        builders[packet.stream_index].add(place, packet)
    tracks = [builders[stream.index].build() for stream in streams]
    return Contents(tracks[0], tracks[1] if sound is not None else None, reader.num_errors)
