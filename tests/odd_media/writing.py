"""Video files with any number of streams. Pictures show their numbers, sound is a tone."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.stream import Disposition

from numbered_clips import draw_number
from scheduling import keep_scheduling

RATE_HZ = 16000
_H264 = {"bf": "2", "g": "10", "preset": "ultrafast"}


@dataclass(frozen=True, eq=False)
class Pictures:
    """A stream of pictures, 10 a second unless `starts_ms` says otherwise."""

    numbers: Sequence[int]
    codec: str = "libx264"
    options: dict[str, str] = field(default_factory=lambda: dict(_H264))
    starts_ms: Sequence[int] | None = None
    size: tuple[int, int] = (96, 96)
    pix_fmt: str = "yuv420p"
    rate: int = 10
    disposition: Disposition | None = None
    aspect: Fraction | None = None  # of a pixel
    tags: tuple[int, int, int] | None = None  # matrix, transfer and primaries of ITU-T H.273


@dataclass(frozen=True, eq=False)
class Sound:
    """A stream of sound: a tone of 440 Hz."""

    length_s: float
    codec: str = "aac"
    layout: str = "mono"
    rate_hz: int = RATE_HZ


@dataclass(frozen=True, eq=False)
class Text:
    """A stream of subtitles, each shown for a second."""

    starts_s: Sequence[int]


def write_media(
    path: Path, *streams: Pictures | Sound | Text, muxer: dict[str, str] | None = None, metadata: dict[str, str] | None = None
) -> None:
    """Write the streams into one file, in this order."""
    options = {"max_interleave_delta": "0"} | (muxer or {})
    with keep_scheduling(), ExitStack() as texts, av.open(str(path), "w", options=options) as container:
        container.metadata.update(metadata or {})
        written = {stream: texts.enter_context(_write_text(stream, path)) for stream in streams if isinstance(stream, Text)}
        added = [_add(container, written.get(stream, stream)) for stream in streams]
        packets = [_encode(written.get(stream, stream), target) for stream, target in zip(streams, added, strict=True)]
        for packet in sorted((one for few in packets for one in few), key=lambda one: float(one.dts * one.time_base)):
            container.mux(packet)


def _add(container: Any, stream: Any) -> Any:
    if isinstance(stream, av.container.InputContainer):
        return container.add_stream_from_template(stream.streams.subtitles[0])
    if isinstance(stream, Sound):
        return container.add_stream(stream.codec, rate=stream.rate_hz, layout=stream.layout)
    target = container.add_stream(stream.codec, rate=stream.rate, options=dict(stream.options))
    target.codec_context.thread_count = 1  # the bytes of some encoders depend on the number of threads
    target.width, target.height = stream.size
    target.pix_fmt = stream.pix_fmt
    target.codec_context.time_base = Fraction(1, 1000) if stream.starts_ms else Fraction(1, stream.rate)
    if stream.aspect is not None:
        target.codec_context.sample_aspect_ratio = stream.aspect
    if stream.tags is not None:
        target.codec_context.colorspace, target.codec_context.color_trc, target.codec_context.color_primaries = stream.tags
    if stream.disposition is not None:
        target.disposition = stream.disposition
    return target


def _encode(stream: Any, target: Any) -> list[Any]:
    if isinstance(stream, Pictures):
        return _encode_pictures(stream, target)
    return _encode_sound(stream, target) if isinstance(stream, Sound) else _copy_text(stream, target)


def _encode_pictures(stream: Pictures, target: Any) -> list[Any]:
    packets: list[Any] = []
    for place, number in enumerate(stream.numbers):
        frame = av.VideoFrame.from_ndarray(draw_number(number, *stream.size), format="rgb24").reformat(format=stream.pix_fmt)
        frame.pts = stream.starts_ms[place] if stream.starts_ms else place
        frame.time_base = target.codec_context.time_base
        packets += target.encode(frame)
    return [*packets, *target.encode(None)]


def _encode_sound(stream: Sound, target: Any) -> list[Any]:
    times_s = np.arange(round(stream.length_s * stream.rate_hz)) / stream.rate_hz
    tone = (0.5 * np.sin(2 * np.pi * 440 * times_s)).astype(np.float32)
    resampler = av.AudioResampler(format=target.codec_context.format, layout=stream.layout, rate=stream.rate_hz)
    frame = av.AudioFrame.from_ndarray(tone[None], format="fltp", layout="mono")
    frame.sample_rate, frame.pts, frame.time_base = stream.rate_hz, 0, Fraction(1, stream.rate_hz)
    packets: list[Any] = []
    for part in [*resampler.resample(frame), *resampler.resample(None)]:
        packets += target.encode(part)
    return [*packets, *target.encode(None)]


def _copy_text(source: av.container.InputContainer, target: Any) -> list[Any]:
    packets = [packet for packet in source.demux() if packet.size]
    for packet in packets:
        packet.stream = target
    return packets


@contextmanager
def _write_text(text: Text, path: Path) -> Iterator[av.container.InputContainer]:
    file = path.with_suffix(".srt")
    clock = [f"00:{start_s // 60:02}:{start_s % 60:02}" for start_s in text.starts_s]
    file.write_text("".join(f"{number}\n{at},000 --> {at},900\nhello\n\n" for number, at in enumerate(clock, start=1)))
    with av.open(str(file)) as source:
        yield source
    file.unlink()
