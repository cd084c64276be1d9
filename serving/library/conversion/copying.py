"""Copies packets into another container without decoding them."""

from collections.abc import Callable, Iterator
from typing import Any

from av.container import OutputContainer
from av.video.stream import VideoStream

from corpus.media.files.reading import MediaReader
from serving.library.conversion.track import PictureTrack


def copy_packets(reader: MediaReader, output: OutputContainer, *, report: Callable[[float], None]) -> None:
    """Copy the packets of pictures and sound into an MP4 file; `report` gets the time of each packet.

    The last picture lasts until the end of the file's time axis.

    Raises:
        FFmpegError: when MP4 cannot hold the packets or their times.
        ValueError: when a picture has no time of display.
    """
    streams = [stream for stream in (reader.video, reader.sound) if stream is not None]
    targets = {stream.index: output.add_stream_from_template(stream) for stream in streams}
    track = PictureTrack(output, end_s=reader.timeline.length_s)
    for packet in _complete_stamps(_count_from_0(reader), reader.video):
        is_picture = packet.stream_index == reader.video.index
        report(float(packet.dts * packet.time_base))
        packet.stream = targets[packet.stream_index]
        if is_picture:
            track.mux(packet)
        else:
            output.mux(packet)
    track.close()


def _count_from_0(reader: MediaReader) -> Iterator[Any]:
    for packet in reader.packets():
        shift = round(reader.timeline.origin_s / packet.time_base)
        if packet.pts is None and packet.stream_index == reader.video.index:
            raise ValueError("a packet of pictures has no time of display")
        packet.pts = None if packet.pts is None else packet.pts - shift
        packet.dts = None if packet.dts is None else packet.dts - shift
        yield packet


def _complete_stamps(packets: Iterator[Any], video: VideoStream) -> Iterator[Any]:
    """Fill in the decoding times that Matroska omits for the first pictures: each is a frame before the next one."""
    early: list[Any] = []
    for packet in packets:
        if packet.pts is None and packet.dts is None:
            continue
        if packet.stream_index == video.index and packet.dts is None:
            early.append(packet)
            continue
        if packet.stream_index == video.index:
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
