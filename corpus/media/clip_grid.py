"""Clip grid on the time axis of a video, shared by all streams: clip i is centred at (i + 0.5) / clip_rate_hz seconds."""


def count_clips(duration_s: float, clip_rate_hz: float) -> int:
    """Return the number of clips of a video, at least 1; halves are rounded to even."""
    return max(1, round(duration_s * clip_rate_hz))
