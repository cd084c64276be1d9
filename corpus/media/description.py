"""Metadata of a media file in the JSON form of `ffprobe -show_format -show_streams -of json`."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.stream import Stream

from corpus.media.files.container import open_video
from corpus.media.files.reading import MediaReader
from corpus.media.files.timeline import read_timeline
from corpus.media.probing import probe
from corpus.media_info import MediaInfo


def describe(path: Path, *, info: MediaInfo | None = None) -> dict[str, Any]:
    """Return `streams` (video and audio) and `format` of a video like ffprobe's JSON; unknown facts are left out.

    If the header is wrong about the length or the number of frames, the values of `probe` replace it and `notes` say so.
    If `info` comes from `examine`, the notes describe damage too.

    Raises:
        FileNotFoundError: naming a missing file.
        UndecodableError: naming the file and why it is not a readable video.
    """
    info, timeline = info or probe(path), read_timeline(path)
    with open_video(path, discard_others=False) as (container, video):
        first = next(MediaReader(container, video, None, timeline).pictures(), None)
        both = (*container.streams.video, *container.streams.audio)
        streams = [_describe_stream(stream) for stream in both]
        pictures = streams[both.index(video)]
        if first is not None and first.rotation:
            pictures["side_data_list"] = [{"rotation": round(first.rotation)}]
        known = {
            "filename": str(path),
            "nb_streams": len(container.streams),
            "format_name": container.format.name,
            "start_time": _to_decimal(container.start_time, Fraction(1, av.time_base)),
            "duration": _to_decimal(container.duration, Fraction(1, av.time_base)),
            "size": str(path.stat().st_size),
            "bit_rate": str(container.bit_rate) if container.bit_rate else None,
        }
    if timeline.claimed_s:
        known["duration"] = f"{info.duration_s:.6f}"
        for stream in streams:
            stream.pop("duration", None)
            stream.pop("duration_ts", None)
    if "nb_frames" in pictures:
        pictures["nb_frames"] = str(info.num_frames)
    found = {"streams": sorted(streams, key=lambda stream: int(stream["index"])), "format": _drop_unknown(known)}
    return found | ({"notes": list(info.notes)} if info.notes else {})


def _describe_stream(stream: Stream) -> dict[str, Any]:
    context = stream.codec_context  # None without a decoder
    known: dict[str, Any] = {
        "index": stream.index,
        "codec_name": context.codec.canonical_name if context else None,
        "codec_type": stream.type,
        "time_base": _to_ratio(stream.time_base),
        "start_pts": stream.start_time,
        "start_time": _to_decimal(stream.start_time, stream.time_base),
        "duration_ts": stream.duration,
        "duration": _to_decimal(stream.duration, stream.time_base),
        "nb_frames": str(stream.frames) if stream.frames else None,
    }
    if context is None:
        return _drop_unknown(known)
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
