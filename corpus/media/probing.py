"""Probing of video files: facts from the header if the content confirms them, otherwise counted facts."""

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple, TypedDict

import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame

from corpus.media.files.container import open_video
from corpus.media.files.damage import Damage, require_pictures
from corpus.media.files.errors import UndecodableError
from corpus.media.files.reading import MediaReader, open_media
from corpus.media.files.streams import find_sound, name_codec
from corpus.media.files.timeline import Timeline, read_timeline
from corpus.media.files.truncation import read_stated_size
from corpus.media.pictures.displayed import Seconds, Shown, pick_displayed
from corpus.media.sound.mixing import read_channels
from corpus.media_info import MediaInfo

_MAX_MISSING_S, _MAX_MISSING_SHARE = 1.0, 0.05  # of the duration in the header
_MAX_LATE_S, _MAX_LATE_SHARE = 1.0, 0.5  # of the duration, until the first frame
_QUIETEST_DB = -120  # of full scale: digital silence
_COUNT_TOLERANCE = 0.05  # of the number of pictures in the header, because edit lists leave some out


class _Sound(TypedDict):
    """The facts of the sound."""

    has_audio: bool
    audio_codec: str | None
    audio_rate_hz: int | None
    audio_channels: int | None
    audio_peak_db: int | None


_NO_SOUND = _Sound(has_audio=False, audio_codec=None, audio_rate_hz=None, audio_channels=None, audio_peak_db=None)


def probe(path: Path) -> MediaInfo:
    """Read the header and all packets of a video, and decode its first frame.

    Raises:
        FileNotFoundError: naming a missing file.
        UndecodableError: naming the file and why it cannot be used.
    """
    timeline = read_timeline(path)
    with open_video(path, discard_others=False) as (container, stream):
        num_frames, codec, rate = stream.frames, name_codec(stream), stream.average_rate
        guessed_rate = stream.guessed_rate
        sound = _describe_sound(container)
        notes = _note_streams(container) + _note_time(timeline)
        reader = MediaReader(container, stream, None, timeline)
        first = next(reader.pictures(), None)
        if first is None:
            require_pictures(path, reader.picture_damage, num_frames=0)
        assert first is not None
        late_s = reader.tell(first) or 0.0
    if abs(num_frames - timeline.num_pictures) > _COUNT_TOLERANCE * timeline.num_pictures:
        rate = guessed_rate if 0 < num_frames < timeline.num_pictures else rate  # the average may cover only a part
        num_frames = timeline.num_pictures
    duration_s = timeline.length_s
    if duration_s <= 0:
        raise UndecodableError(path, "its duration is 0 s")
    if late_s > max(_MAX_LATE_S, _MAX_LATE_SHARE * duration_s):
        raise UndecodableError(path, f"its first frame is shown only after {late_s:.2f} s of {duration_s:.2f} s")
    rate = rate or compute_rate(num_frames, duration_s)
    rotation = -90 * round(first.rotation / 90) % 360
    width, height = (first.height, first.width) if rotation % 180 else (first.width, first.height)
    return MediaInfo(
        duration_s=duration_s,
        fps=float(rate),
        num_frames=num_frames,
        width=width,
        height=height,
        rotation=rotation,
        codec=codec,
        frame_rate=f"{rate.numerator}/{rate.denominator}",
        **sound,
        notes=notes,
    )


class Check(NamedTuple):
    """The damage found in a file, tolerable in its pictures, and its loudest sample in [0, 1]."""

    pictures: Damage
    sound: Damage
    sound_peak: float


class _Checker:
    """Check of a file by the frames that come out of its decoders."""

    def __init__(self, path: Path, reader: MediaReader) -> None:
        """Begin with a freshly opened reader of pictures and sound; refuse a truncated file."""
        _require_whole(path, reader)
        self._path, self._reader = path, reader
        self.num_frames, self.sound_peak = 0, 0.0

    def pictures(self) -> Iterator[VideoFrame]:
        """Yield the frames of the pictures, while all sound is decoded too."""
        for frame in self._reader.frames():
            if isinstance(frame, VideoFrame):
                self.num_frames += 1
                yield frame
            else:
                self.sound_peak = max(self.sound_peak, float(np.abs(read_channels(frame)).max(initial=0)))

    def finish(self) -> Check:
        """Return the check after the last picture; refuse too much damage."""
        pictures = self._reader.picture_damage
        pictures.num_damaged += self._reader.timeline.num_read_errors
        require_pictures(self._path, pictures, num_frames=self.num_frames)
        return Check(pictures, self._reader.sound_damage, self.sound_peak)


def check_decodable(path: Path) -> Check:
    """Decode every frame and all sound once.

    Raises:
        FileNotFoundError: naming a missing file.
        UndecodableError: naming the file and the defect: too many damaged frames, or a missing end.
    """
    with open_media(path, with_sound=True) as reader:
        checker = _Checker(path, reader)
        deque(checker.pictures(), maxlen=0)
        return checker.finish()


def examine(path: Path) -> MediaInfo:
    """Probe a video and decode it from start to end; return its facts with the damage and the level of the sound.

    A video whose sound is damaged beyond the tolerance counts as a video without sound.

    Raises:
        FileNotFoundError: naming a missing file.
        UndecodableError: as `probe` and `check_decodable`.
    """
    return _add_check(probe(path), check_decodable(path))


class ExaminedFile:
    """A video that is examined in the decoding pass that uses its frames."""

    def __init__(self, path: Path) -> None:
        """Probe the video.

        Raises:
            FileNotFoundError: naming a missing file.
            UndecodableError: as `probe`.
        """
        self._path = path
        self.info = probe(path)  # complete, as `examine` returns it, when `iter_displayed` has ended

    def iter_displayed(self, times_s: Seconds) -> Iterator[Shown]:
        """Yield the frames on display at the sorted times, then decode the video to its end.

        Raises:
            UndecodableError: as `check_decodable`; after a part of the frames, when the damage shows late.
        """
        with open_media(self._path, with_sound=True) as reader:
            checker = _Checker(self._path, reader)
            pictures = checker.pictures()
            yield from pick_displayed(self._path, reader, pictures, times_s)
            deque(pictures, maxlen=0)
            self.info = _add_check(self.info, checker.finish())


def _add_check(info: MediaInfo, check: Check) -> MediaInfo:
    """Return the facts with the damage and the level of the sound; sound beyond the tolerance counts as missing."""
    notes = list(info.notes)
    if info.has_audio:
        info = replace(info, audio_peak_db=_to_decibels(check.sound_peak))
    if check.pictures.num_damaged:
        notes.append(check.pictures.describe("frames"))
    if check.sound.num_damaged:
        notes.append(check.sound.describe("packets of sound"))
    if not check.sound.is_tolerable:
        notes[-1] += ": it counts as a video without sound"
        info = replace(info, **_NO_SOUND)
    return replace(info, num_damaged=check.pictures.num_damaged, num_damaged_audio=check.sound.num_damaged, notes=tuple(notes))


def _to_decibels(peak: float) -> int:
    """Return whole decibels, because the last bits of decoded sound differ between processors."""
    return max(_QUIETEST_DB, round(20 * math.log10(peak))) if peak > 0 else _QUIETEST_DB


def _require_whole(path: Path, reader: MediaReader) -> None:
    """Refuse a truncated file. Missing bytes prove truncation; a header that claims too much does not."""
    claimed_s, found_s = reader.timeline.claimed_s, reader.timeline.length_s
    stated, size = read_stated_size(path, reader.container.format.name), path.stat().st_size
    if stated > size and claimed_s - found_s > max(_MAX_MISSING_S, _MAX_MISSING_SHARE * claimed_s):
        raise UndecodableError(
            path,
            f"its header claims {claimed_s:.2f} s, but the content ends after {found_s:.2f} s: "
            f"{stated - size} of {stated} bytes are missing; copy or download it again",
        )


def _describe_sound(container: InputContainer) -> _Sound:
    sound = find_sound(container)
    if sound is None:
        return _NO_SOUND
    rate_hz, channels = sound.rate or None, sound.channels or None
    return _Sound(
        has_audio=True, audio_codec=name_codec(sound), audio_rate_hz=rate_hz, audio_channels=channels, audio_peak_db=None
    )


def compute_rate(num_frames: int, duration_s: float) -> Fraction:
    """Return the frame rate of a file without one in its header. It is never 0, even for a still with an hour of sound."""
    return Fraction(num_frames / duration_s).limit_denominator(1001) or Fraction(num_frames, math.ceil(duration_s))


def _note_streams(container: InputContainer) -> tuple[str, ...]:
    """Describe the sound streams that cannot be decoded."""
    missing = [stream for stream in container.streams.audio if stream.codec_context is None]
    return tuple(
        f"its sound stream {stream.index} is left out: there is no decoder for {name_codec(stream)}" for stream in missing
    )


def _note_time(timeline: Timeline) -> tuple[str, ...]:
    """Describe corrections of the time axis."""
    notes = []
    if timeline.num_joins:
        notes.append(f"its clock restarts or leaps: its {timeline.num_joins + 1} parts are joined one after the other")
    elif timeline.claimed_s:
        notes.append(f"its header claims {timeline.claimed_s:.2f} s, but the content ends after {timeline.length_s:.2f} s")
    return tuple(notes)
