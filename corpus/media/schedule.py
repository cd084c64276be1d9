"""Which packets hold the frames that are on display at given times, known before anything is decoded."""

from bisect import bisect_left, bisect_right
from collections import deque

from av.packet import Packet
from av.video.stream import VideoStream

_END = 1 << 62  # ticks: after every timestamp
_NUM_AHEAD = 32  # packets: twice the frames by which display and decoding may differ in order in H.264 and HEVC
_MAX_WAITING = 1024  # packets
_MANY_STARTS = 256


class UnsureError(Exception):
    """The timestamps do not tell what is on display when; decoding every frame does."""


class Schedule:
    """Takes the packets of a video in the order of decoding, and tells which times see the frame of each.

    A frame is shown until the next one in the order of display. Which one that is, is known once decoding has come as
    far as its start: no frame is shown before it is decoded. Matroska does not store the times of decoding, FFmpeg
    estimates them: therefore so many packets are looked at in advance that a wrong estimate is noticed.
    """

    def __init__(self, limits: list[int]) -> None:
        """Expect sorted times in ticks: the last frame that starts at or before such a limit is the one on display."""
        self.num_settled = 0  # times whose frame is known
        self.decoded_to = -_END
        self._limits = limits
        self._waiting: deque[Packet[VideoStream]] = deque()
        self._starts: list[int] = []  # of the frames that may follow a waiting one, sorted
        self._earliest = _END  # start of the first frame of all

    def restart(self) -> None:
        """Go on elsewhere: with a packet from which on all frames that are still looked for can be decoded."""
        self.decoded_to = -_END
        self._waiting.clear()
        self._starts.clear()
        self._earliest = -_END

    def add(self, packet: "Packet[VideoStream]") -> "list[tuple[Packet[VideoStream], int, int]]":
        """Take the next packet; return those that are decided now, with the range [first, end) of times that see each.

        Most ranges are empty. The empty packet after the last one decides all.

        Raises:
            UnsureError: when a timestamp is missing, negative, not the only one, or contradicts the order of decoding, or
                when too many packets would have to wait.
        """
        waiting = self._waiting
        decided: list[tuple[Packet[VideoStream], int, int]] = []
        waiting.append(packet)
        num_ahead = _NUM_AHEAD
        if packet.size:
            self._place(packet)
        else:
            self.decoded_to, num_ahead = _END, 0
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
