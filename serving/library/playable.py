"""The form of a video that browsers play: the file itself, its streams in another container, or H.264 and AAC in MP4.

Time 0 of every form is time 0 of the file (`corpus.media`), so a moment has the same times in both.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import av
from av.audio.frame import AudioFrame
from av.container import InputContainer, OutputContainer
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.reformatter import ColorTrc
from av.video.stream import VideoStream

from corpus.media.files.container import open_video
from corpus.media.files.errors import UndecodableError
from corpus.media.files.reading import MediaReader, open_media
from corpus.media.files.streams import find_sound, name_codec
from corpus.media.files.timeline import Timeline, read_timeline
from serving.library.conversion.copying import copy_packets
from serving.library.conversion.pictures import PictureWriter, Plan, plan_pictures
from serving.library.conversion.sound import SoundWriter

FORMS_VERSION = "2"  # of the written forms; forms of other versions are converted again
_MP4, _WEBM = "mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm"
_COPYABLE = frozenset({_WEBM, "flv", "live_flv,flv"})
_MP4_VIDEO, _MP4_AUDIO = frozenset({"h264", "vp9", "av1"}), frozenset({"aac", "mp3", "opus", "flac"})
_WEBM_VIDEO, _WEBM_AUDIO = frozenset({"vp8", "vp9", "av1"}), frozenset({"opus", "vorbis"})
_PIXELS = frozenset({"yuv420p", "yuvj420p"})
_HDR = frozenset({ColorTrc.SMPTE2084, ColorTrc.ARIB_STD_B67})
_PROFILES = frozenset({"Baseline", "Constrained Baseline", "Main", "High"})  # of H.264, which every browser decodes
_MAX_SHIFT_S = 0.1  # largest difference in length between a copy and its source


class Form(NamedTuple):
    """Method that makes a video playable, and the media type of the result."""

    how: Literal["as_is", "copied", "encoded"]
    media_type: str


_ENCODED = Form("encoded", "video/mp4")


@dataclass(frozen=True, slots=True)
class _Streams:
    """The facts of a header that decide whether a browser plays a file."""

    container: str
    video: str
    is_plain_video: bool
    audio: str  # empty without sound
    plays_first_streams: bool
    tells_duration: bool
    has_square_pixels: bool


def find_form(path: Path, *, is_intact: bool | None = None) -> Form:
    """Return the form in which browsers play a video.

    `is_intact` is the result of `find_intact`. If it is None, the function calls `find_intact`, unless the header already
    requires an encoding.

    Raises:
        FileNotFoundError: naming a file that is not there.
        UndecodableError: naming the file and why it is not a readable video.
    """
    with open_video(path, discard_others=False) as (container, stream):
        form = _judge(_read_streams(container, stream))
    if form == _ENCODED:
        return form
    return form if (find_intact(path) if is_intact is None else is_intact) else _ENCODED


def find_intact(path: Path) -> bool:
    """Decode a file and tell whether any player shows it correctly: it has no damage, and its clock is regular.

    Raises:
        FileNotFoundError: naming a file that is not there.
        UndecodableError: naming the file and why it is not a readable video.
    """
    with open_media(path, with_sound=True) as reader:
        if not reader.timeline.is_plain or reader.timeline.num_read_errors:
            return False
        for _ in reader.frames():
            if reader.picture_damage.num_damaged or reader.sound_damage.num_damaged:
                return False
    return not (reader.picture_damage.num_damaged or reader.sound_damage.num_damaged)


def _read_streams(container: InputContainer, video: VideoStream) -> _Streams:
    sound = find_sound(container)
    context = video.codec_context
    codec = name_codec(video)
    pictures = [one for one in container.streams.video if not one.disposition & Disposition.attached_pic]
    is_sdr = context.pix_fmt in _PIXELS and context.color_trc not in _HDR
    return _Streams(
        container=container.format.name,
        video=codec,
        is_plain_video=is_sdr and (codec != "h264" or context.profile in _PROFILES),
        audio=name_codec(sound) if sound else "",
        plays_first_streams=pictures[0] is video and next(iter(container.streams.audio), None) is sound,
        tells_duration=bool(container.duration),
        has_square_pixels=(video.sample_aspect_ratio or 1) == 1,
    )


def _judge(streams: _Streams) -> Form:
    fits_mp4 = streams.is_plain_video and streams.video in _MP4_VIDEO and streams.audio in {"", *_MP4_AUDIO}
    fits_webm = streams.is_plain_video and streams.video in _WEBM_VIDEO and streams.audio in {"", *_WEBM_AUDIO}
    shows_itself = streams.plays_first_streams and streams.tells_duration
    if streams.container == _MP4 and fits_mp4 and shows_itself:
        return Form("as_is", "video/mp4")
    if streams.container == _WEBM and fits_webm and shows_itself:
        return Form("as_is", "video/webm")
    if streams.container in _COPYABLE and fits_mp4 and streams.has_square_pixels:
        return Form("copied", "video/mp4")
    return _ENCODED


def write_playable(path: Path, target: Path, form: Form, *, report: Callable[[float], None]) -> None:
    """Write the playable form of a video that browsers do not play; `report` gets the share that is done.

    If the packets cannot be copied, the video is re-encoded. Damage leaves a gap in the pictures and silence in the sound.

    Raises:
        UndecodableError: naming the file and why it cannot be decoded or converted.
        OSError: when the form cannot be written.
    """
    if form.how == "copied" and _copy(path, target, report):
        return
    _encode(path, target, report)


def _copy(path: Path, target: Path, report: Callable[[float], None]) -> bool:
    """Copy the packets; tell whether the result has the length of the file."""
    try:
        with open_media(path, with_sound=True) as reader, _open_output(path, target) as output:
            copy_packets(reader, output, report=_Reporter(reader.timeline, report).pass_time)
        return abs(read_timeline(target).length_s - reader.timeline.length_s) <= _MAX_SHIFT_S
    except UndecodableError:  # the encoding names the fault, or succeeds
        return False


def _encode(path: Path, target: Path, report: Callable[[float], None]) -> None:
    """Decode the pictures and the sound and encode them as H.264 and AAC, on the clock of the index."""
    with open_media(path, num_threads=2, with_sound=True) as reader, _open_output(path, target) as output:
        length_s = reader.timeline.length_s
        passed = _Reporter(reader.timeline, report)
        pictures = PictureWriter(output, _plan(path, reader.timeline), length_s=length_s)
        sound = SoundWriter(output, length_s=length_s) if reader.sound else None  # all streams must exist before the first packet
        for frame in reader.frames():
            start_s = reader.tell(frame)
            if isinstance(frame, VideoFrame) and start_s is not None:
                pictures.write(frame, start_s)
                passed.pass_time(start_s)
            elif isinstance(frame, AudioFrame) and sound:
                sound.write(frame, start_s)
        pictures.close()
        if sound:
            sound.close()


def _plan(path: Path, timeline: Timeline) -> Plan:
    with open_video(path) as (container, stream):
        first = next(MediaReader(container, stream, None, timeline).pictures(), None)
        if first is None:
            raise UndecodableError(path, "no frame can be decoded")
        return plan_pictures(stream, first)


@contextmanager
def _open_output(path: Path, target: Path) -> Iterator[OutputContainer]:
    try:
        with av.open(str(target), "w", format="mp4", options={"movflags": "+faststart"}) as output:
            yield output
    except av.error.MemoryError:
        raise
    except av.error.FFmpegError as error:
        if isinstance(error, OSError) and error.filename == str(target):
            raise OSError(error.errno, f"cannot write {target.name}: {error.strerror}") from error
        raise UndecodableError(path, f"it cannot be converted: {error.strerror}") from error
    except UndecodableError:
        raise
    except ValueError as error:
        raise UndecodableError(path, f"it cannot be converted: {error}") from error


class _Reporter:
    """Reports the share of a video that is done, by its time."""

    def __init__(self, timeline: Timeline, report: Callable[[float], None]) -> None:
        self._length_s = timeline.length_s
        self._report = report
        self._told = 0.0

    def pass_time(self, time_s: float) -> None:
        share = min(1.0, time_s / self._length_s) if self._length_s > 0 else 0.0
        if share >= self._told + 0.01:
            self._told = share
            self._report(share)
