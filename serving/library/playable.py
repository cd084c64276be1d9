"""The form of a video that browsers play: the file itself, its streams in another container, or H.264 and AAC in MP4.

Time 0 of every form is time 0 of the file (`corpus.media`), so that a moment is found at the same place in both.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal, NamedTuple

import av
import numpy as np
from av.container import InputContainer, OutputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from corpus.media.clock import Clock
from corpus.media.container import UndecodableError, find_origin_s, open_video
from corpus.media.scaling import read_posture

_MP4, _WEBM = "mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm"
_COPYABLE = frozenset({_WEBM, "flv", "live_flv,flv"})
_MP4_VIDEO, _MP4_AUDIO = frozenset({"h264", "vp9", "av1"}), frozenset({"aac", "mp3", "opus", "flac"})
_WEBM_VIDEO, _WEBM_AUDIO = frozenset({"vp8", "vp9", "av1"}), frozenset({"opus", "vorbis"})
_PIXELS = frozenset({"yuv420p", "yuvj420p"})
_MAX_SIDE_PX = 1280  # of what is encoded anew: for looking at, not for keeping
_TICK = Fraction(1, 90000)
_AUDIO_RATE_HZ = 48000
_ENCODER = {"preset": "veryfast", "crf": "23"}


class Form(NamedTuple):
    """How browsers can be given a video, and the media type of the result."""

    how: Literal["as_is", "copied", "encoded"]
    media_type: str


@dataclass(frozen=True, slots=True)
class _Streams:
    """What decides whether a browser plays a file."""

    container: str
    video: str
    pixels: str
    audio: str  # empty without sound


def find_form(path: Path) -> Form:
    """Tell from its header how browsers can be given a video.

    Raises:
        UndecodableError: naming the file and why it is no readable video.
    """
    with open_video(path, discard_others=False) as (container, stream):
        sound = next(iter(container.streams.audio), None)
        audio = sound.codec_context.codec.canonical_name if sound else ""
        context = stream.codec_context
        return _judge(_Streams(container.format.name, context.codec.canonical_name, context.pix_fmt or "", audio))


def _judge(streams: _Streams) -> Form:
    is_plain = streams.pixels in _PIXELS
    fits_mp4 = is_plain and streams.video in _MP4_VIDEO and streams.audio in {"", *_MP4_AUDIO}
    fits_webm = is_plain and streams.video in _WEBM_VIDEO and streams.audio in {"", *_WEBM_AUDIO}
    if streams.container == _MP4 and fits_mp4:
        return Form("as_is", "video/mp4")
    if streams.container == _WEBM and fits_webm:
        return Form("as_is", "video/webm")
    if streams.container in _COPYABLE and fits_mp4:
        return Form("copied", "video/mp4")
    return Form("encoded", "video/mp4")


def write_playable(path: Path, target: Path, form: Form, *, report: Callable[[float], None]) -> None:
    """Write the form of a video that is not playable as it is; `report` gets the share that is done.

    Raises:
        UndecodableError: naming the file and why it cannot be decoded.
        OSError: when the form cannot be written.
    """
    write = _copy if form.how == "copied" else _encode
    with open_video(path, num_threads=2, discard_others=False) as (source, stream), _open_output(path, target) as output:
        write(source, stream, output, _Reporter(source, report))


@contextmanager
def _open_output(path: Path, target: Path) -> Iterator[OutputContainer]:
    try:
        with av.open(str(target), "w", format="mp4", options={"movflags": "+faststart"}) as output:
            yield output
    except av.error.FFmpegError as error:
        if isinstance(error, OSError) and error.filename == str(target):
            raise OSError(error.errno, f"cannot write {target.name}: {error.strerror}") from error
        raise UndecodableError(path, f"it cannot be converted: {error.strerror}") from error


class _Reporter:
    """Tells how much of a video has passed, by its time."""

    def __init__(self, source: InputContainer, report: Callable[[float], None]) -> None:
        self._duration_s = (source.duration or 0) / av.time_base
        self._report = report
        self._told = 0.0

    def pass_time(self, time_s: float) -> None:
        share = min(1.0, time_s / self._duration_s) if self._duration_s > 0 else 0.0
        if share >= self._told + 0.01:
            self._told = share
            self._report(share)


def _copy(source: InputContainer, video: VideoStream, output: OutputContainer, reporter: _Reporter) -> None:
    """Put the packets of the first picture and the first sound stream into another container."""
    streams = [video, *source.streams.audio[:1]]
    targets = {stream.index: output.add_stream_from_template(stream) for stream in streams}
    shift_s = -find_origin_s(source, 0.0)
    for packet in _complete_stamps(source.demux(streams), video):
        assert packet.dts is not None
        shift = round(shift_s / packet.time_base)
        packet.pts = None if packet.pts is None else packet.pts + shift
        packet.dts += shift
        reporter.pass_time(float(packet.dts * packet.time_base))
        packet.stream = targets[packet.stream.index]
        output.mux(packet)


def _complete_stamps(packets: Iterator[Any], video: VideoStream) -> Iterator[Any]:
    """Give pictures the decoding times that Matroska does not say of the first ones: each a frame before the next one's."""
    early: list[Any] = []
    for packet in packets:
        if packet.size == 0 or (packet.pts is None and packet.dts is None):
            continue
        if packet.stream is video and packet.dts is None:
            early.append(packet)
            continue
        if packet.stream is video:
            yield from _date(early, packet.dts, video)
            early = []
        elif packet.dts is None:
            packet.dts = packet.pts
        yield packet
    yield from _date(early, min((packet.pts for packet in early), default=0), video)


def _date(packets: list[Any], end: int, video: VideoStream) -> Iterator[Any]:
    for distance, packet in zip(range(len(packets), 0, -1), packets, strict=True):
        packet.dts = end - distance * max(1, round(1 / (video.average_rate or 25) / packet.time_base))
        yield packet


def _encode(source: InputContainer, video: VideoStream, output: OutputContainer, reporter: _Reporter) -> None:
    """Decode the pictures and the first sound and encode them as H.264 and AAC."""
    sounds = source.streams.audio[:1]
    pictures = _PictureWriter(source, video, output)
    sound = _SoundWriter(output) if sounds else None  # every stream is there before the first packet
    for packet in source.demux([video, *sounds]):
        for frame in packet.decode():
            if isinstance(frame, VideoFrame):
                reporter.pass_time(pictures.write(frame))
            elif sound:
                sound.write(frame, origin_s=pictures.origin_s)
    pictures.close()
    if sound:
        sound.close()


class _PictureWriter:
    """Encodes frames upright, at their times, no larger than needed to look at them."""

    def __init__(self, source: InputContainer, video: VideoStream, output: OutputContainer) -> None:
        self._clock = Clock(source, video)
        self._output = output
        self._stream: Any = output.add_stream("libx264", rate=video.average_rate or Fraction(25), options=_ENCODER)
        self._stream.width, self._stream.height = _find_size(Path(source.name))
        self._stream.pix_fmt = "yuv420p"
        self._stream.codec_context.time_base = _TICK
        self._last_pts = -1
        self.origin_s = 0.0

    def write(self, frame: VideoFrame) -> float:
        """Encode the next frame and return its time."""
        start_s = self._clock.tell(frame)
        if start_s is None:
            return 0.0
        pts = round(start_s / _TICK)
        if pts <= self._last_pts:  # of frames with one start, players show the first
            return start_s
        if self._last_pts < 0 and frame.time is not None:
            self.origin_s = frame.time - start_s
        self._last_pts = pts
        upright = _turn(frame).reformat(self._stream.width, self._stream.height, "yuv420p")
        upright.pts, upright.time_base = pts, _TICK
        self._output.mux(self._stream.encode(upright))
        return start_s

    def close(self) -> None:
        self._output.mux(self._stream.encode())


def _find_size(path: Path) -> tuple[int, int]:
    """Return the width and height to encode: those of the first frame, upright, even and bounded."""
    with open_video(path) as (source, stream):
        first = next(source.decode(stream), None)
        if first is None:
            raise UndecodableError(path, "no frame can be decoded")
        width, height = (first.height, first.width) if read_posture(first).swaps_axes else (first.width, first.height)
    scale = min(1.0, _MAX_SIDE_PX / max(width, height))
    return max(2, 2 * round(width * scale / 2)), max(2, 2 * round(height * scale / 2))


def _turn(frame: VideoFrame) -> VideoFrame:
    posture = read_posture(frame)
    if not any(posture):
        return frame
    upright = posture.turn(np.asarray(frame.to_ndarray(format="rgb24"), dtype=np.uint8))
    return VideoFrame.from_ndarray(upright.copy(), format="rgb24")


class _SoundWriter:
    """Encodes sound without gaps from where it starts."""

    def __init__(self, output: OutputContainer) -> None:
        self._output = output
        self._stream: Any = output.add_stream("aac", rate=_AUDIO_RATE_HZ)
        self._stream.layout = "stereo"
        self._resampler = av.AudioResampler(format="fltp", layout="stereo", rate=_AUDIO_RATE_HZ)
        self._next_pts: int | None = None

    def write(self, frame: Any, *, origin_s: float) -> None:
        if self._next_pts is None:
            self._next_pts = max(0, round(((frame.time or 0.0) - origin_s) * _AUDIO_RATE_HZ))
        frame.pts = None
        self._encode(self._resampler.resample(frame))

    def close(self) -> None:
        self._encode(self._resampler.resample(None) if self._next_pts is not None else [])
        self._output.mux(self._stream.encode())

    def _encode(self, frames: list[Any]) -> None:
        for frame in frames:
            assert self._next_pts is not None
            frame.pts, frame.time_base = self._next_pts, Fraction(1, _AUDIO_RATE_HZ)
            self._next_pts += frame.samples
            self._output.mux(self._stream.encode(frame))
