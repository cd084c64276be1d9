"""What FFmpeg knows of a file, under the names that `ffprobe -show_format -show_streams -of json` gives it."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.stream import Stream

from corpus.media.container import open_video


def describe(path: Path) -> dict[str, Any]:
    """Return `streams` (video and audio) and `format` of a video as ffprobe's JSON does; what is unknown is left out.

    Raises:
        FileNotFoundError: naming a file that is not there.
        UndecodableError: naming the file and why it is no readable video.
    """
    with open_video(path, discard_others=False) as (container, video):
        first = next(container.decode(video), None)
        streams = [_describe_stream(stream) for stream in (*container.streams.video, *container.streams.audio)]
        if first is not None and first.rotation:
            streams[container.streams.video.index(video)]["side_data_list"] = [{"rotation": round(first.rotation)}]
        known = {
            "filename": str(path),
            "nb_streams": len(container.streams),
            "format_name": container.format.name,
            "start_time": _to_decimal(container.start_time, Fraction(1, av.time_base)),
            "duration": _to_decimal(container.duration, Fraction(1, av.time_base)),
            "size": str(path.stat().st_size),
            "bit_rate": str(container.bit_rate) if container.bit_rate else None,
        }
    return {"streams": sorted(streams, key=lambda stream: int(stream["index"])), "format": _drop_unknown(known)}


def _describe_stream(stream: Stream) -> dict[str, Any]:
    context = stream.codec_context
    known: dict[str, Any] = {
        "index": stream.index,
        "codec_name": context.codec.canonical_name,
        "codec_type": stream.type,
        "time_base": _to_ratio(stream.time_base),
        "start_pts": stream.start_time,
        "start_time": _to_decimal(stream.start_time, stream.time_base),
        "duration_ts": stream.duration,
        "duration": _to_decimal(stream.duration, stream.time_base),
        "nb_frames": str(stream.frames) if stream.frames else None,
    }
    if stream.type == "video":
        known |= {"width": context.width, "height": context.height, "pix_fmt": context.pix_fmt}
        known |= {"avg_frame_rate": _to_ratio(stream.average_rate), "r_frame_rate": _to_ratio(stream.base_rate)}
    else:
        known |= {"sample_rate": str(context.sample_rate), "channels": context.channels}
    return _drop_unknown(known)


def _to_ratio(value: Fraction | None) -> str | None:
    return f"{value.numerator}/{value.denominator}" if value else None


def _to_decimal(ticks: int | None, tick: Fraction | None) -> str | None:
    return f"{float(ticks * tick):.6f}" if ticks is not None and tick else None


def _drop_unknown(values: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}
