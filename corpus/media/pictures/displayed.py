"""Frames on display at given times. All search methods give the same frames; this module chooses the cheapest."""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from functools import cached_property
from itertools import chain, pairwise
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from corpus.media.files.container import has_own_clock, open_video
from corpus.media.files.damage import require_pictures
from corpus.media.files.reading import MediaReader, open_media
from corpus.media.pictures.display_order import DisplayOrder, UnsureError
from corpus.media.pictures.upright import read_pixel_aspect

Seconds = NDArray[np.float64]

SAME_TIME_S = 1e-6  # rounding tolerance before the start of a frame, because sums of floats are not exact
_WORTH_SEEKING_S = 1.0
_EXACTLY_SKIPPED = frozenset({"h264"})  # codecs in which skipping a non-reference frame changes no other frame


class Shown(NamedTuple):
    """The frame on display at the sorted times[first:end]."""

    first: int
    end: int
    frame: VideoFrame
    pixel_aspect: Fraction  # width over height of a stored pixel


Display = Callable[[Seconds], Iterator[Shown]]  # the frames of a file on display at the sorted times, as `iter_displayed`


def iter_displayed(path: Path, times_s: Seconds, *, num_threads: int = 1) -> Iterator[Shown]:
    """Yield the frames on display at the sorted times, in order of time; other frames are left out.

    Raises:
        UndecodableError: naming the file and why it cannot be decoded.
    """
    num_done = 0
    try:
        for shown in _iter_scheduled(path, times_s, num_threads):
            yield shown
            num_done = shown.end
    except UnsureError:
        yield from _iter_all(path, times_s, num_threads, num_done)


def _iter_all(path: Path, times_s: Seconds, num_threads: int, num_done: int) -> Iterator[Shown]:
    """Decode every frame up to the last time."""
    with open_media(path, num_threads=num_threads) as reader:
        yield from pick_displayed(path, reader, reader.pictures(), times_s, num_done)


def pick_displayed(
    path: Path, reader: MediaReader, pictures: Iterable[VideoFrame], times_s: Seconds, num_done: int = 0
) -> Iterator[Shown]:
    """Yield the frames on display at the sorted times from number `num_done` on, and trust the start times from the decoder.

    `pictures` are all frames of the reader in order; those after the last time are not asked for.

    Raises:
        UndecodableError: naming the file, without any frame or with too much damage.
    """
    done, displayed, times = num_done, None, times_s.tolist()
    displayed_from_s = 0.0
    for frame in pictures if done < len(times) else ():
        start_s = reader.tell(frame)
        if start_s is None:
            continue
        if displayed is not None:
            if start_s <= displayed_from_s:  # players show the first of several frames with equal start
                continue
            end = bisect_left(times, start_s - SAME_TIME_S, lo=done)
            if end > done:
                yield Shown(done, end, displayed, read_pixel_aspect(reader.video))
            done = end
            if done == len(times):
                return
        displayed, displayed_from_s = frame, start_s
    if done < len(times):
        require_pictures(path, reader.picture_damage, num_frames=int(displayed is not None))
        assert displayed is not None
        yield Shown(done, len(times), displayed, read_pixel_aspect(reader.video))


def _iter_scheduled(path: Path, times_s: Seconds, num_threads: int) -> Iterator[Shown]:
    """Decode only the frames that the requested frames depend on.

    Raises:
        UnsureError: when the timestamps do not tell; all frames yielded before are right.
    """
    if len(times_s) == 0:
        return
    with open_video(path, num_threads=num_threads) as (container, stream):
        if not has_own_clock(container) or not stream.time_base:
            raise UnsureError
        limits = np.floor((times_s + SAME_TIME_S) / float(stream.time_base)).astype(np.int64).tolist()
        try:
            yield from _SparseDecoder(container, stream, limits).run()
        except av.error.MemoryError:
            raise
        except (av.error.FFmpegError, IndexError) as error:  # IndexError: a stream appeared late
            raise UnsureError from error


class _SparseDecoder:
    """Decoder of scheduled frames that decodes as few others as possible."""

    def __init__(self, container: InputContainer, stream: VideoStream, limits: list[int]) -> None:
        self._container, self._stream, self._limits = container, stream, limits
        self._schedule = DisplayOrder(limits)
        self._wanted: dict[int | None, tuple[int, int]] = {}  # start -> range of times
        self._num_done = 0
        self._anchor: int | None = None  # start of the frame after a seek, until that frame comes out
        self._can_skip = stream.codec_context.name in _EXACTLY_SKIPPED
        self._is_skipping = False
        self._is_index_unread = container.format.name == "matroska,webm"  # until the first seek
        self._num_ordered = -1  # index entries known to be in file order
        self._gap = gap = round(_WORTH_SEEKING_S / float(stream.time_base or 1))
        leaps = {number for number, (one, other) in enumerate(pairwise(limits), 1) if other - one > gap}
        self._leaps = leaps | ({0} if limits[0] > gap else set())  # positions of times that lie far after the previous one

    @cached_property
    def _pixel_aspect(self) -> Fraction:
        return read_pixel_aspect(self._stream)

    def run(self) -> Iterator[Shown]:
        """Yield the frames in order of time.

        Raises:
            UnsureError: when a decoded frame contradicts its packet.
        """
        context, schedule, wanted = self._stream.codec_context, self._schedule, self._wanted
        packets = self._container.demux(self._stream)
        while self._num_done < len(self._limits):
            if schedule.num_settled in self._leaps and self._leaps_ahead():
                yield from self._match(context.decode(None))
                packets = self._seek(self._limits[schedule.num_settled])
            packet = next(packets, None)
            if packet is None:
                raise UnsureError
            for one, first, end in schedule.add(packet):
                if end > first:
                    wanted[one.pts] = (first, end)
                if self._can_skip and self._is_skipping != (end == first):
                    self._is_skipping = end == first
                    context.skip_frame = "NONREF" if self._is_skipping else "DEFAULT"
                frames = context.decode(one)
                if frames:
                    yield from self._match(frames)

    def _match(self, frames: list[VideoFrame]) -> Iterator[Shown]:
        for frame in frames:
            if self._anchor is not None and frame.pts == self._anchor and frame.key_frame:
                self._anchor = None
            span = self._wanted.pop(frame.pts, None)
            if span is None:
                continue
            if span[0] != self._num_done or self._anchor is not None:
                raise UnsureError
            self._num_done = span[1]
            yield Shown(*span, frame, self._pixel_aspect)

    def _leaps_ahead(self) -> bool:
        """Tell, once per leap, whether the index has a key frame between the current position and the next time."""
        self._leaps.discard(self._schedule.num_settled)
        if self._is_index_unread:
            self._is_index_unread = False
            return True
        entries = self._stream.index_entries
        place = entries.search_timestamp(self._limits[self._schedule.num_settled])
        return place >= 0 and entries[place].timestamp > max(self._schedule.decoded_to, 0)

    def _agrees_with_index(self, start: int, limit: int) -> bool:
        """Tell whether Matroska's key frames are in order of time, and the found key frame lies where the index says.

        They are not if the clock restarts.
        """
        if self._container.format.name != "matroska,webm":
            return True
        entries = self._stream.index_entries
        if len(entries) != self._num_ordered:
            positions = [entries[number].pos for number in range(len(entries))]
            if positions != sorted(positions):
                return False
            self._num_ordered = len(positions)
        place = entries.search_timestamp(limit)
        return place < 0 or entries[place].timestamp - start <= self._gap

    def _seek(self, limit: int) -> "Iterator[Packet[VideoStream]]":
        """Seek to the last key frame at or before a time; return the packets from there on."""
        self._container.seek(limit, stream=self._stream)
        packets = self._container.demux(self._stream)
        first = next(packets)
        if first.pts is None or first.pts > limit or not first.is_keyframe or first.is_discard:
            raise UnsureError
        if not self._agrees_with_index(first.pts, limit):
            raise UnsureError
        self._schedule.restart()
        self._anchor = first.pts
        return chain([first], packets)
