"""The frames on display at given times. Every way to find them gives the same frames: this module chooses the cheapest."""

from bisect import bisect_left
from collections.abc import Iterator
from itertools import chain, pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from corpus.media.clock import Clock
from corpus.media.container import UndecodableError, has_own_clock, open_video
from corpus.media.schedule import Schedule, UnsureError

Seconds = NDArray[np.float64]

SAME_TIME_S = 1e-6  # a time this little before a frame's start counts as its start: sums of floats are not exact
_WORTH_SEEKING_S = 1.0
_EXACTLY_SKIPPED = frozenset({"h264"})  # where a frame that is no reference changes no other frame if it is left out


class Shown(NamedTuple):
    """The frame that the sorted times[first:end] see."""

    first: int
    end: int
    frame: VideoFrame


def iter_displayed(path: Path, times_s: Seconds, *, num_threads: int = 1) -> Iterator[Shown]:
    """Yield the frames that the sorted times see, in the order of time; frames that no time sees are left out.

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
    """Decode every frame up to the last time and believe what the decoder says of its start."""
    done, displayed, times = num_done, None, times_s.tolist()
    with open_video(path, num_threads=num_threads) as (container, stream):
        clock = Clock(container, stream)
        displayed_from_s = 0.0
        for frame in container.decode(stream):
            start_s = clock.tell(frame)
            if start_s is None:
                continue
            if displayed is not None:
                if start_s <= displayed_from_s:  # of frames with one start, players show the first
                    continue
                end = bisect_left(times, start_s - SAME_TIME_S, lo=done)
                if end > done:
                    yield Shown(done, end, displayed)
                done = end
                if done == len(times):
                    return
            displayed, displayed_from_s = frame, start_s
    if displayed is None:
        raise UndecodableError(path, "no frame can be decoded")
    if done < len(times):
        yield Shown(done, len(times), displayed)


def _iter_scheduled(path: Path, times_s: Seconds, num_threads: int) -> Iterator[Shown]:
    """Decode only what the frames looked for depend on.

    Raises:
        UnsureError: when that cannot be told; what was yielded before is right.
    """
    if len(times_s) == 0:
        return
    with open_video(path, num_threads=num_threads) as (container, stream):
        if not has_own_clock(container) or not stream.time_base:
            raise UnsureError
        limits = np.floor((times_s + SAME_TIME_S) / float(stream.time_base)).astype(np.int64).tolist()
        yield from _SparseDecoder(container, stream, limits).run()


class _SparseDecoder:
    """Decodes the frames that a schedule asks for, and as few others as it can."""

    def __init__(self, container: InputContainer, stream: VideoStream, limits: list[int]) -> None:
        self._container, self._stream, self._limits = container, stream, limits
        self._schedule = Schedule(limits)
        self._wanted: dict[int | None, tuple[int, int]] = {}  # start -> range of times
        self._num_done = 0
        self._anchor: int | None = None  # start of the frame from which decoding went on elsewhere, until it is seen
        self._can_skip = stream.codec_context.name in _EXACTLY_SKIPPED
        self._is_skipping = False
        self._is_index_unread = container.format.name == "matroska,webm"  # until the first seek
        gap = round(_WORTH_SEEKING_S / float(stream.time_base or 1))
        leaps = {number for number, (one, other) in enumerate(pairwise(limits), 1) if other - one > gap}
        self._leaps = leaps | ({0} if limits[0] > gap else set())  # numbers of times that lie far after the one before

    def run(self) -> Iterator[Shown]:
        """Yield the frames in the order of time.

        Raises:
            UnsureError: when a frame does not come out as its packet promised.
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
            yield Shown(*span, frame)

    def _leaps_ahead(self) -> bool:
        """Tell, once for each leap, whether the file's index has a key frame between what was read so far and the next time."""
        self._leaps.discard(self._schedule.num_settled)
        if self._is_index_unread:
            self._is_index_unread = False
            return True
        entries = self._stream.index_entries
        place = entries.search_timestamp(self._limits[self._schedule.num_settled])
        return place >= 0 and entries[place].timestamp > max(self._schedule.decoded_to, 0)

    def _seek(self, limit: int) -> "Iterator[Packet[VideoStream]]":
        """Go to the last key frame that is shown no later than a time; return the packets from there on."""
        self._container.seek(limit, stream=self._stream)
        packets = self._container.demux(self._stream)
        first = next(packets)
        if first.pts is None or first.pts > limit or not first.is_keyframe or first.is_discard:
            raise UnsureError
        self._schedule.restart()
        self._anchor = first.pts
        return chain([first], packets)
