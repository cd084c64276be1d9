"""Writer of picture packets that gives an MP4 file its exact length."""

from collections import deque
from typing import Any

from av.container import OutputContainer

_NUM_HELD = 32  # packets: twice the largest difference of display and decoding order in H.264


class PictureTrack:
    """Writes packets in the order of decoding; the picture that starts last is shown until the end.

    MP4 states the length of a track twice: by the end of the last picture, and by the steps between decoding times.
    Players take the smaller one, so the packet that is decoded last gets a long step too.
    """

    def __init__(self, output: OutputContainer, *, end_s: float) -> None:
        """Write to a file that has the stream."""
        self._output = output
        self._end_s = end_s
        self._held: deque[Any] = deque()

    def mux(self, packet: Any) -> None:
        """Take the next packet, which must have both its times."""
        self._held.append(packet)
        if len(self._held) > _NUM_HELD:
            self._output.mux(self._held.popleft())

    def close(self) -> None:
        """Write the remaining packets."""
        if self._held:
            for packet in (self._held[-1], max(self._held, key=lambda packet: packet.pts)):
                packet.duration = max(1, round(self._end_s / packet.time_base) - packet.pts)
        while self._held:
            self._output.mux(self._held.popleft())
