"""Timeline of a media file: one clock for pictures and sound, the position of time 0, and the length of the content."""

from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream

from corpus.media.files.container import find_origin_s, has_own_clock, open_video
from corpus.media.files.joining import Part, find_step_s, join_parts, shift_track
from corpus.media.files.packets import Contents, Seconds, Track, read_contents
from corpus.media.files.streams import find_sound

_MAX_SILENCE_S = 10.0  # sound after a longer silence does not belong to the pictures
_TOLERANCE_S = (0.1, 0.5)  # limits of the tolerance between header and content, which is two pictures
_ROUNDING_S = 1e-6
_PLAIN = (Part(0, 0.0),)


@dataclass(frozen=True, slots=True)
class Timeline:
    """The time axis of a file according to its packets; `read_timeline` returns it.

    `length_s` runs from time 0 to the end of the pictures, or of sound that continues without a long silence. `claimed_s` is
    the length in the header if the content contradicts it or was joined, else 0. `num_pictures` counts packets, including
    repeated pictures.
    """

    length_s: float
    origin_s: float  # time 0 on the clock of the joined timestamps
    num_pictures: int
    claimed_s: float
    num_read_errors: int
    parts: dict[int, tuple[Part, ...]]  # by stream index

    @property
    def num_joins(self) -> int:
        """The number of restarts and leaps of the clock."""
        return max((len(parts) - 1 for parts in self.parts.values()), default=0)

    @property
    def is_plain(self) -> bool:
        """Whether clock and header of the file are right, so that any player shows it correctly."""
        return self.num_joins == 0 and self.claimed_s == 0

    def follow(self, stream_index: int) -> "Shifter":
        """Return a shifter that puts the packets of a stream, from the first one on, on the one clock."""
        return Shifter(self.parts.get(stream_index, _PLAIN))


class Shifter:
    """Moves the times of one stream's packets, in file order, to the one clock."""

    def __init__(self, parts: tuple[Part, ...]) -> None:
        """Begin at packet 0."""
        self._parts = parts
        self._number = self._part = 0

    def shift(self, packet: Any) -> None:
        """Change the times of the next packet."""
        parts, number = self._parts, self._number
        if self._part + 1 < len(parts) and parts[self._part + 1].first == number:
            self._part += 1
        self._number = number + 1
        shift_s = parts[self._part].shift_s
        if shift_s:
            ticks = round(shift_s / float(packet.time_base))
            packet.pts = None if packet.pts is None else packet.pts + ticks
            packet.dts = None if packet.dts is None else packet.dts + ticks


def read_timeline(path: Path) -> Timeline:
    """Read all packets of a file without decoding, and determine its time axis.

    Raises:
        FileNotFoundError: naming a missing file.
        UndecodableError: naming the file and why it is not a readable video.
    """
    with open_video(path, discard_others=False) as (container, video):
        sound = find_sound(container)
        contents = read_contents(container, video, sound)
        return _decide(container, video, sound.index if sound else -1, contents)


def _decide(container: InputContainer, stream: VideoStream, sound_index: int, contents: Contents) -> Timeline:
    video, sound = contents.video, contents.sound
    joined = join_parts(video, sound, has_own_clock=has_own_clock(container))
    starts_s = shift_track(video, joined.video)
    sound_starts_s = shift_track(sound, joined.sound) if sound is not None else np.empty(0)
    nominal_s = float(1 / stream.average_rate) if stream.average_rate else find_step_s(video)
    content = _measure(container, video, starts_s, nominal_s)
    if sound is not None:
        content = content.go_on(sound, sound_starts_s)
    claimed_s = read_claim_s(container)
    tolerance_s = min(max(2 * nominal_s, _TOLERANCE_S[0]), _TOLERANCE_S[1]) + _ROUNDING_S
    is_borne_out = len(joined.video) == 1 and content.is_length(claimed_s, tolerance_s)
    parts = {stream.index: joined.video, sound_index: joined.sound}
    return Timeline(
        length_s=claimed_s if is_borne_out else content.length_s,
        origin_s=content.origin_s,
        num_pictures=video.num_packets,
        claimed_s=0.0 if is_borne_out else claimed_s,
        num_read_errors=contents.num_read_errors,
        parts={index: one for index, one in parts.items() if len(one) > 1},
    )


@dataclass(frozen=True, slots=True)
class _Content:
    """The end of the content of a file on the one clock. The last picture may last longer than its packet states."""

    origin_s: float
    last_start_s: float  # of a picture
    last_end_s: float  # of a picture
    longest_s: float  # between two pictures
    sound_end_s: float

    @property
    def length_s(self) -> float:
        return max(self.last_end_s, self.sound_end_s) - self.origin_s

    def go_on(self, sound: Track, starts_s: Seconds) -> "_Content":
        """Add sound that continues after the pictures without a long silence."""
        is_told = ~np.isnan(starts_s) & sound.is_shown
        starts_s, lengths_s = starts_s[is_told], sound.lengths_s[is_told]
        end_s = float("-inf")
        for number in np.argsort(starts_s, kind="stable").tolist():
            if starts_s[number] > max(end_s, self.last_end_s) + _MAX_SILENCE_S:
                break
            end_s = max(end_s, float(starts_s[number] + lengths_s[number]))
        return replace(self, sound_end_s=end_s)

    def is_length(self, claimed_s: float, tolerance_s: float) -> bool:
        """Tell whether the length in a header agrees with the content."""
        shortest_s = max(self.last_start_s, self.sound_end_s - tolerance_s) - self.origin_s
        longest_s = max(self.last_start_s + self.longest_s - self.origin_s, self.length_s)
        return min(shortest_s, self.length_s - tolerance_s) <= claimed_s <= longest_s + tolerance_s


def _measure(container: InputContainer, video: Track, starts_s: Seconds, nominal_s: float) -> _Content:
    """Measure the pictures; pictures without a time follow one another at the average rate."""
    is_told = ~np.isnan(starts_s) & video.is_shown
    if not is_told.any():
        end_s = video.num_packets * nominal_s
        return _Content(0.0, end_s - nominal_s, end_s, nominal_s, float("-inf"))
    starts_s, lengths_s = starts_s[is_told], video.lengths_s[is_told]
    last = int(starts_s.argmax())  # other packets may store the decoding length
    end_s = float(starts_s[last] + (lengths_s[last] or nominal_s))
    longest_s = float(np.diff(np.unique(starts_s)).max(initial=0.0))
    origin_s = find_origin_s(container, float(starts_s.min()))
    return _Content(origin_s, float(starts_s[last]), end_s, longest_s, float("-inf"))


def read_claim_s(container: InputContainer) -> float:
    """Return the end of the content according to the header, from time 0; 0 if the header does not state it."""
    starts_late = has_own_clock(container) and (container.start_time or 0) > 0  # then formats disagree on its meaning
    return 0.0 if starts_late or not container.duration else float(container.duration * Fraction(1, av.time_base))
