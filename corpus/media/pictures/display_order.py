"""Display order: finds the packets whose frames are on display at given times, before decoding."""

from bisect import bisect_left, bisect_right
from collections import deque

from av.packet import Packet
from av.video.stream import VideoStream

from corpus.media.files.packets import is_last

_END = 1 << 62  # ticks, after every timestamp
_NUM_AHEAD = 32  # packets, twice the largest reordering of H.264 and HEVC
_MAX_WAITING = 1024  # packets
_MANY_STARTS = 256


class UnsureError(Exception):
    """The timestamps do not determine the display order; the caller must decode every frame."""


class DisplayOrder:
    """Assigns the requested times to the frames of a video, from its packets in decoding order.

    A frame is shown until the next frame in display order starts. The next frame is known once the decoding time reaches its
    start, because no frame is shown before it is decoded. Matroska does not store decoding times and FFmpeg estimates
    them, so the class looks ahead by enough packets to notice a wrong estimate.
    """

    def __init__(self, limits: list[int]) -> None:
        """Take sorted times in ticks. The frame on display is the last one that starts at or before such a limit."""
        self.num_settled = 0  # times with a known frame
        self.decoded_to = -_END
        self._limits = limits
        self._waiting: deque[Packet[VideoStream]] = deque()
        self._starts: list[int] = []  # sorted starts of the frames that may follow a waiting one
        self._earliest = _END  # start of the first frame of all

    def restart(self) -> None:
        """Continue after a seek, at a packet from which all missing frames can be decoded."""
        self.decoded_to = -_END
        self._waiting.clear()
        self._starts.clear()
        self._earliest = -_END

    def add(self, packet: "Packet[VideoStream]") -> "list[tuple[Packet[VideoStream], int, int]]":
        """Add the next packet; return newly decided packets, each with its range [first, end) of times.

        Most ranges are empty. The empty packet after the last one decides all remaining packets.

        Raises:
            UnsureError: when a timestamp is missing, negative, repeated, or contradicts the decoding order, when
                an empty packet repeats a picture, or when too many packets would have to wait.
        """
        waiting = self._waiting
        decided: list[tuple[Packet[VideoStream], int, int]] = []
        waiting.append(packet)
        num_ahead = _NUM_AHEAD
        if packet.size:
            self._place(packet)
        elif is_last(packet):
            self.decoded_to, num_ahead = _END, 0
        else:
            raise UnsureError
        while len(waiting) > num_ahead:
            span = self._find_span(waiting[0])
            if span is None:
                break
            decided.append((waiting.popleft(), *span))
        if len(waiting) > _MAX_WAITING:
            raise UnsureError
        if len(self._starts) > _MANY_STARTS:
            self._forget()
        return decided

    def _place(self, packet: "Packet[VideoStream]") -> None:
        start, decoded, starts = packet.pts, packet.dts, self._starts
        if decoded is not None:
            if decoded < self.decoded_to:
                raise UnsureError
            self.decoded_to = decoded
        if start is None or start < self.decoded_to:
            raise UnsureError
        if packet.is_discard:
            return
        place = bisect_left(starts, start)
        if start < 0 or starts[place : place + 1] == [start]:
            raise UnsureError
        starts.insert(place, start)
        self._earliest = min(self._earliest, start)

    def _find_span(self, packet: "Packet[VideoStream]") -> tuple[int, int] | None:
        start, starts = packet.pts, self._starts
        if start is None or packet.is_discard:
            return 0, 0
        place = bisect_right(starts, start)
        following = starts[place] if place < len(starts) else _END
        if following > self.decoded_to:
            return None
        first = 0 if start == self._earliest else bisect_left(self._limits, start)
        end = bisect_left(self._limits, following, lo=first)
        self.num_settled += end - first
        return first, end

    def _forget(self) -> None:
        oldest = min((packet.pts for packet in self._waiting if packet.pts is not None), default=self.decoded_to)
        del self._starts[: bisect_left(self._starts, oldest)]
