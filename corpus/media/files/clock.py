"""Frame clock: start times of frames from timestamps that may be wrong or missing."""

from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from corpus.media.files.container import has_own_clock


class Clock:
    """Start times of frames in seconds, which never run backwards.

    Some containers (AVI) have wrong presentation times, some none. The clock trusts the timestamp, presentation or decoding,
    that has run backwards less often so far. Frames without a timestamp follow the previous frame at the average rate.
    In files that browsers play, such a frame lies outside the shown range.
    """

    def __init__(self, container: InputContainer, stream: VideoStream, *, origin_s: float) -> None:
        """Start at the first frame of a freshly opened stream; time 0 lies at `origin_s` on the clock of its timestamps."""
        self._has_own_clock = has_own_clock(container)
        self._tick_s = float(stream.time_base or 0)
        self._step_s = float(1 / stream.average_rate) if stream.average_rate else 0.0
        self._last_pts = self._last_dts = float("-inf")
        self._pts_faults = self._dts_faults = 0
        self._origin_s = origin_s
        self._now_s = -self._step_s

    def tell(self, frame: VideoFrame) -> float | None:
        """Return the start of the next frame in display order, or None if it is not shown."""
        pts, dts = frame.pts, frame.dts
        if pts is not None:
            self._pts_faults += pts <= self._last_pts
            self._last_pts = pts
        if dts is not None:
            self._dts_faults += dts <= self._last_dts
            self._last_dts = dts
        stamp = pts if dts is None or (pts is not None and self._pts_faults <= self._dts_faults) else dts
        if stamp is None:
            if self._has_own_clock:
                return None
            self._now_s += self._step_s
            return self._now_s
        time_s = stamp * self._tick_s
        self._now_s = max(self._now_s, time_s - self._origin_s)
        return self._now_s
