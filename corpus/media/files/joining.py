"""Joining of clocks: puts the parts of a file whose clock restarts or leaps on one continuous clock.

In joined recordings, cells of a DVD and reconnected streams, each part begins at an arbitrary time of the clock. A part
starts one picture after the last picture of the previous part, and its sound moves along.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from corpus.media.files.packets import Seconds, Track

_STILL_S = 10.0  # a longer time without a new picture is a leap of the clock unless sound disproves it; FFmpeg's own limit
_SILENT_STILL_S = 1.0  # the same limit if sound exists before and after but is missing in between
_MIN_SOUNDING_SHARE = 0.5  # of a time without a new picture: this much sound shows that the time really passed
_MAX_OVERLAP_S = 0.25  # of the sound of two parts, which is not cut at the same edge as the pictures
_BEHIND = 3.5  # pictures
_JITTER_S = 0.25  # smaller steps of the clock are ignored
_SOUND_BACK_S, _SOUND_FORWARD_S = 0.03, 0.5  # smallest steps of the sound clock that may match steps of the pictures
_MATCH_S, _MATCH_SHARE = 1.0, 0.3  # tolerance between the two steps, because sound and pictures end at different times
_TICK_S = 1e-6


class Part(NamedTuple):
    """The packets of a stream from number `first` on, and the shift that puts their times on the one clock."""

    first: int
    shift_s: float


@dataclass(frozen=True, slots=True)
class Joined:
    """The parts of the pictures and of the sound. Each list starts with an unshifted part at packet 0."""

    video: tuple[Part, ...]
    sound: tuple[Part, ...]


def join_parts(video: Track, sound: Track | None, *, has_own_clock: bool) -> Joined:
    """Find restarts and leaps of the clock of a file, and the shifts that join the parts.

    A clock that the file stores (`has_own_clock`) never leaps: a picture may be on display for any time.
    """
    parts = _join_pictures(video, sound, has_own_clock=has_own_clock)
    if len(parts) == 1 or sound is None:
        return Joined(tuple(parts), (Part(0, 0.0),))
    return _take_sound_along(video, sound, parts)


def shift_track(track: Track, parts: tuple[Part, ...]) -> Seconds:
    """Return the start of each packet on the one clock, (N,)."""
    firsts = np.array([part.first for part in parts])
    shifts = np.array([part.shift_s for part in parts])
    shifted: Seconds = track.stamps_s + shifts[np.searchsorted(firsts, np.arange(track.num_packets), side="right") - 1]
    return shifted


def find_step_s(track: Track) -> float:
    """Return the typical time between two pictures; 0 with fewer than two pictures."""
    decoded_s = np.diff(track.dts_s[~np.isnan(track.dts_s)])
    steps_s = decoded_s[decoded_s > 0]
    if len(steps_s) == 0:
        steps_s = np.diff(np.unique(track.stamps_s[~np.isnan(track.stamps_s)]))
    return float(np.median(steps_s)) if len(steps_s) else float(track.lengths_s.max(initial=0.0))


def _join_pictures(video: Track, sound: Track | None, *, has_own_clock: bool) -> list[Part]:
    if video.num_packets == 0:
        return [Part(0, 0.0)]
    step_s = find_step_s(video)
    numbers, clock_s = _read_clock(video, has_own_clock=has_own_clock)
    steps_s = np.diff(clock_s)
    onward_s = 3 * step_s + _JITTER_S
    is_small = (steps_s < _TICK_S) & video.is_key[numbers[1:]]  # elsewhere, FFmpeg's estimates err by this much
    is_back = (steps_s < -step_s - _JITTER_S) | (is_small if not has_own_clock else False)
    leaps = np.flatnonzero(is_back | (steps_s > onward_s)) + 1
    parts, before_s = [Part(0, 0.0)], 0.0  # the shift before the newest part
    for leap, end in pairwise([*leaps.tolist(), len(numbers)]):
        first, last = int(numbers[leap]), int(numbers[end]) if end < len(numbers) else video.num_packets
        now_s, step = parts[-1].shift_s, float(steps_s[leap - 1])
        expected_s = _find_end_s(video, parts[-1], first, step_s)
        shift_s = expected_s - _find_start_s(video, first, last)
        if abs(shift_s - before_s) < onward_s and before_s != now_s and len(parts) > 1:
            parts.append(Part(first, before_s))  # a few packets had wrong times; the clock is right again
        elif step < _TICK_S or (not has_own_clock and _is_leap(clock_s[leap - 1], clock_s[leap], first, video, sound)):
            parts.append(Part(first, shift_s))
        else:
            continue
        before_s = now_s
    return parts


def _read_clock(video: Track, *, has_own_clock: bool) -> tuple[NDArray[np.int64], Seconds]:
    """Return the packets that define the clock and their times: decoding times, or starts of key frames.

    Neither runs backwards in an intact file. FFmpeg estimates decoding times in formats that do not store them.
    """
    is_told = ~np.isnan(video.dts_s)
    if has_own_clock or is_told.mean() < 0.5:  # noqa: PLR2004 # most of them
        numbers = np.flatnonzero(video.is_key & video.is_shown & ~np.isnan(video.pts_s))
        return numbers, video.pts_s[numbers]
    numbers = np.flatnonzero(is_told)
    return numbers, video.dts_s[numbers]


def _find_end_s(video: Track, part: Part, end: int, step_s: float) -> float:
    """Return the end of the last picture of a part on the one clock.

    FFmpeg estimates times that a program stream does not store and lags by a picture or two; then the picture count decides.
    """
    starts_s = video.stamps_s[part.first : end]
    last = int(np.nanargmax(starts_s))
    end_s = float(starts_s[last] + (video.lengths_s[part.first + last] or step_s))
    counted_s = float(np.nanmin(starts_s)) + step_s * len(starts_s)
    return part.shift_s + (counted_s if end_s < counted_s < end_s + _BEHIND * step_s else end_s)


def _find_start_s(video: Track, first: int, end: int) -> float:
    return float(np.nanmin(video.stamps_s[first:end]))


def _is_leap(before_s: float, after_s: float, number: int, video: Track, sound: Track | None) -> bool:
    """Tell whether a time without a new picture is a leap of the clock."""
    gap_s = after_s - before_s
    place = video.places[number]
    if sound is None or not (sound.places < place).any() or not (sound.places > place).any():
        return gap_s > _STILL_S
    is_within = (sound.stamps_s > before_s) & (sound.stamps_s < after_s)
    return gap_s > _SILENT_STILL_S and float(sound.lengths_s[is_within].sum()) < _MIN_SOUNDING_SHARE * gap_s


def _take_sound_along(video: Track, sound: Track, parts: list[Part]) -> Joined:
    """Apply the shifts of the pictures at the matching steps of the sound; delay both if the sound overlaps too much."""
    stamps_s = sound.stamps_s
    ends_s = stamps_s + sound.lengths_s
    steps_s = stamps_s[1:] - ends_s[:-1]
    candidates = np.flatnonzero((steps_s < -_SOUND_BACK_S) | (steps_s > _SOUND_FORWARD_S)) + 1
    found, next_part, extra_s = [Part(0, 0.0)], 1, 0.0
    extras_s = [0.0] * len(parts)
    for number in candidates.tolist():
        place, step = int(sound.places[number]), float(steps_s[number - 1])
        matching = [k for k in range(next_part, len(parts)) if _is_same_step(step, parts[k - 1], parts[k])]
        if not matching:
            continue
        k = min(matching, key=lambda one: abs(int(video.places[parts[one].first]) - place))
        shift_s = parts[k].shift_s + extra_s
        overlap_s = float(ends_s[number - 1]) + found[-1].shift_s - (float(stamps_s[number]) + shift_s)
        extras_s[k] = max(0.0, overlap_s - _MAX_OVERLAP_S)
        extra_s += extras_s[k]
        found.append(Part(number, shift_s + extras_s[k]))
        next_part = k + 1
    late_s = np.cumsum(extras_s).tolist()
    video_parts = tuple(Part(part.first, part.shift_s + late) for part, late in zip(parts, late_s, strict=True))
    return Joined(video_parts, tuple(found))


def _is_same_step(step_s: float, one: Part, other: Part) -> bool:
    """Tell whether a step of the sound clock equals the step that the shifts of two picture parts undo."""
    undone_s = one.shift_s - other.shift_s
    return abs(step_s - undone_s) < _MATCH_S + _MATCH_SHARE * abs(undone_s) and step_s * undone_s > 0
