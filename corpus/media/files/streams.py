"""Choice of streams: the pictures of the main programme, and decodable sound."""

import re
from collections import Counter
from pathlib import Path
from typing import Any

import av
import av.logging
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.stream import Disposition, Stream
from av.video.stream import VideoStream

from corpus.media.files.errors import UndecodableError

_ARE_NO_PROGRAMME = Disposition.attached_pic | Disposition.timed_thumbnails | Disposition.still_image
_PEEKED_PACKETS = 2000  # over all streams: a minute or more
_MIN_SHARE = 0.5  # of the packets of the fullest stream; streams below it are previews or partial
_UNNAMED = "none"
_HEAD_BYTES = 1 << 16  # of a Matroska file; they contain the tracks
_MATROSKA_ID = re.compile(rb"\x86([\x81-\xff])([VASB]_[ -~]+)")  # the element CodecID with its size


def find_pictures(path: Path, container: InputContainer) -> VideoStream:
    """Return the stream of pictures of the main programme.

    Covers, thumbnails, streams without a decoder, and streams with far fewer pictures than another one are left out. Of the
    rest, the first stream marked as default wins, else the first stream.

    Raises:
        UndecodableError: when no stream is left; the message names the codec of a missing decoder.
    """
    streams = [stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic]
    if not streams:
        raise UndecodableError(path, "it holds no video stream")
    usable = [stream for stream in streams if stream.codec_context is not None]
    if not usable:
        raise UndecodableError(path, f"its pictures cannot be decoded: there is no decoder for {name_codec(streams[0])}")
    usable = [stream for stream in usable if not stream.disposition & _ARE_NO_PROGRAMME] or usable
    if len(usable) == 1:
        return usable[0]
    counts = _count_pictures(path, usable)
    full = [stream for stream in usable if counts[stream.index] >= _MIN_SHARE * max(counts.values())]
    return next((stream for stream in full if stream.disposition & Disposition.default), full[0])


def find_sound(container: InputContainer) -> AudioStream | None:
    """Return the first decodable sound stream, or None."""
    usable = (stream for stream in container.streams.audio if stream.codec_context is not None and stream.rate)
    return next(usable, None)


def name_codec(stream: Stream) -> str:
    """Return the codec name of a stream, or the name in the file if FFmpeg has none, such as "the codec 'braw'"."""
    if stream.codec_context is not None:
        return str(stream.codec_context.codec.canonical_name)
    found = re.search(rf"Stream #0:{stream.index}\D.*?: \w+: (\S+)(?: \((\w+) /)?", _describe(stream.container))
    name, tag = found.groups() if found else (_UNNAMED, None)
    known = [part for part in (name, tag) if part and part != _UNNAMED]
    known = known or _list_matroska_ids(stream.container)[stream.index : stream.index + 1]
    return f"the codec {' / '.join(map(repr, known))}" if known else "its codec, which the file does not name"


def _list_matroska_ids(container: Any) -> list[str]:
    """Return the codec of each Matroska track from the file header, because FFmpeg drops names that it does not know."""
    if container.format.name != "matroska,webm":
        return []
    with Path(container.name).open("rb") as file:
        found = re.findall(_MATROSKA_ID, file.read(_HEAD_BYTES))
    return [name[: size[0] & 0x7F].decode("ascii") for size, name in found]


def _describe(container: Any) -> str:  # the stubs of PyAV lack the method
    level = av.logging.get_level()
    av.logging.set_level(av.logging.INFO)  # FFmpeg describes a file only in its log
    try:
        return str(container.dumps_format())
    finally:
        av.logging.set_level(level)


def _count_pictures(path: Path, streams: list[VideoStream]) -> Counter[int]:
    """Count the pictures of streams by index: from the header if it counts all streams, else from the first packets."""
    if all(stream.frames for stream in streams):
        return Counter({stream.index: stream.frames for stream in streams})
    counts = Counter({stream.index: 0 for stream in streams})
    with av.open(str(path.resolve()), options={"protocol_whitelist": "file"}, metadata_errors="replace") as container:
        for _, packet in zip(range(_PEEKED_PACKETS), container.demux(), strict=False):
            if packet.stream_index in counts and packet.size:
                counts[packet.stream_index] += 1
    return counts
