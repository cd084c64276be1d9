"""What a video file says of itself, and whether it is true."""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from corpus.media.container import UndecodableError, find_origin_s, has_own_clock, open_video

_MAX_DAMAGED_SHARE = 0.01  # of the frames; a decoder hides damage, it does not stop at it
_MAX_MISSING_SHARE = 0.05  # of the duration that a header claims
_MAX_MISSING_S = 1.0
_MAX_LATE_SHARE = 0.5  # of the duration, before the first frame


@dataclass(frozen=True, slots=True)
class MediaInfo:
    """What a video file says of itself. `rotation` is the clockwise turn in degrees that makes its frames upright.

    `width` and `height` are those of the upright frames; `duration_s` is the end of its last stream, counted from
    time 0; `frame_rate` is the exact average, such as "30000/1001", and `fps` its value. Without sound, `audio_codec` is
    empty and the other two are 0.
    """

    duration_s: float
    fps: float
    num_frames: int
    width: int
    height: int
    rotation: int
    codec: str
    has_audio: bool
    frame_rate: str
    audio_codec: str
    audio_rate_hz: int
    audio_channels: int


def probe(path: Path) -> MediaInfo:
    """Read what the container says of a video, and decode its first frame; what it does not say is counted.

    Raises:
        FileNotFoundError: naming a file that is not there.
        UndecodableError: naming the file and why it cannot be used.
    """
    with open_video(path, discard_others=False) as (container, stream):
        duration_s, num_frames = _read_duration(container), stream.frames
        sound = next(iter(container.streams.audio), None)
        audio = (sound.codec_context.codec.canonical_name, sound.rate or 0, sound.channels) if sound else ("", 0, 0)
        codec, rate = stream.codec_context.codec.canonical_name, stream.average_rate
        first = next(container.decode(stream), None)
        if first is None:
            raise UndecodableError(path, "no frame can be decoded")
        late_s = _measure_delay(container, stream, first)
    if duration_s <= 0 or num_frames <= 0:
        counted, end_s = _count_packets(path)
        num_frames = num_frames if num_frames > 0 else counted
        duration_s = duration_s if duration_s > 0 else end_s
    if duration_s <= 0:
        raise UndecodableError(path, "its duration is 0 s")
    if late_s > max(_MAX_MISSING_S, _MAX_LATE_SHARE * duration_s):
        raise UndecodableError(path, f"its first frame is shown only after {late_s:.2f} s of {duration_s:.2f} s")
    rate = rate or Fraction(num_frames / duration_s).limit_denominator(1001)
    rotation = -90 * round(first.rotation / 90) % 360
    width, height = (first.height, first.width) if rotation % 180 else (first.width, first.height)
    exact = f"{rate.numerator}/{rate.denominator}"
    return MediaInfo(duration_s, float(rate), num_frames, width, height, rotation, codec, bool(sound), exact, *audio)


def check_decodable(path: Path) -> None:
    """Decode every frame once, and compare the length of the content with what the header claims.

    Raises:
        FileNotFoundError: naming a file that is not there.
        UndecodableError: naming the file and what is wrong: an error of the decoder, damaged frames, missing content.
    """
    num_frames = num_damaged = 0
    start_s, end_s = float("inf"), 0.0
    with open_video(path, discard_others=False) as (container, stream):
        claimed_s = container.duration / av.time_base if container.duration else 0.0
        for packet in container.demux():
            if packet.pts is not None:
                start_s = min(start_s, float(packet.pts * packet.time_base))
                end_s = max(end_s, float((packet.pts + (packet.duration or 0)) * packet.time_base))
            if packet.stream is stream:
                frames = stream.codec_context.decode(packet)
                num_frames += len(frames)
                num_damaged += sum(frame.is_corrupt for frame in frames)
    if num_frames == 0:
        raise UndecodableError(path, "no frame can be decoded")
    if num_damaged > _MAX_DAMAGED_SHARE * num_frames:
        raise UndecodableError(path, f"{num_damaged} of {num_frames} frames are damaged")
    found_s = end_s - start_s
    if start_s < end_s and claimed_s - found_s > max(_MAX_MISSING_S, _MAX_MISSING_SHARE * claimed_s):
        raise UndecodableError(path, f"its header claims {claimed_s:.2f} s, but the content ends after {found_s:.2f} s")


def _read_duration(container: InputContainer) -> float:
    """Return the end of the content from time 0, as far as the header says it: 0 where it does not."""
    starts_late = has_own_clock(container) and (container.start_time or 0) > 0  # then formats disagree on what it means
    return 0.0 if starts_late or not container.duration else container.duration / av.time_base


def _measure_delay(container: InputContainer, stream: VideoStream, first: VideoFrame) -> float:
    if first.pts is None or not stream.time_base:
        return 0.0
    start_s = float(first.pts * stream.time_base)
    return start_s - find_origin_s(container, start_s)


def _count_packets(path: Path) -> tuple[int, float]:
    """Return the number of video packets and the end of the last packet of all streams, from time 0."""
    num_packets, start_s, end_s = 0, float("inf"), 0.0
    with open_video(path, discard_others=False) as (container, stream):
        nominal_s = float(1 / stream.average_rate) if stream.average_rate else 0.0
        for packet in container.demux():
            is_video = packet.stream is stream
            stamp = packet.pts if packet.pts is not None else packet.dts
            num_packets += is_video and packet.size > 0
            if stamp is None or packet.size == 0 or packet.stream.type not in ("video", "audio"):
                continue
            begin_s = float(stamp * packet.time_base)
            start_s = min(start_s, begin_s)
            length_s = float(packet.duration * packet.time_base) if packet.duration else nominal_s * is_video
            end_s = max(end_s, begin_s + length_s)
        origin_s = find_origin_s(container, start_s)
    return num_packets, end_s - origin_s if start_s < end_s else num_packets * nominal_s
