"""Pictures as H.264 in BT.709, upright, with square pixels, each at its time."""

from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
from av.container import OutputContainer
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter
from av.video.stream import VideoStream

from corpus.media.pictures.colours import read_colours
from corpus.media.pictures.scaling import RgbConverter
from corpus.media.pictures.upright import Size, find_shown_size, read_posture
from serving.library.conversion.track import PictureTrack

_MAX_SIDE_PX = 1280  # of re-encoded pictures, which serve viewing, not archiving
_TICK = Fraction(1, 90000)
_ENCODER = {"preset": "veryfast", "crf": "23", "bf": "0"}  # no B-frames: decoding times equal display times
_BT709 = 1  # matrix, transfer and primaries of ITU-T H.273
_USUAL_RATE, _MAX_RATE = Fraction(25), 240
_PLANAR_YUV = "yuv"
_EXACT = Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT | Interpolation.FULL_CHR_H_INP


class Plan(NamedTuple):
    """Settings of an encoding, known before its first frame."""

    size: Size
    rate: Fraction  # the usual frame rate; frames are encoded at their own times


def plan_pictures(stream: VideoStream, first: VideoFrame) -> Plan:
    """Return the size to encode, even and at most 1280 pixels wide and high, and the frame rate."""
    shown = find_shown_size(stream, first)
    scale = min(1.0, _MAX_SIDE_PX / max(shown))
    rate = stream.average_rate or _USUAL_RATE
    return Plan(Size(*(max(2, 2 * round(side * scale / 2)) for side in shown)), rate if 0 < rate <= _MAX_RATE else _USUAL_RATE)


class PictureWriter:
    """Encodes frames; each is shown until the next one starts, the first from time 0 and the last until the end."""

    def __init__(self, output: OutputContainer, plan: Plan, *, length_s: float) -> None:
        """Add a stream to a file that was just opened; it will last from 0 to `length_s`."""
        self._stream: Any = output.add_stream("libx264", rate=plan.rate, options=_ENCODER)
        self._stream.width, self._stream.height = plan.size
        self._stream.pix_fmt = "yuv420p"
        context = self._stream.codec_context
        context.time_base = _TICK
        context.colorspace = context.color_trc = context.color_primaries = _BT709
        context.color_range = int(ColorRange.MPEG)
        self._end_pts = round(length_s / _TICK)
        self._painter = _Painter(plan.size)
        self._track = PictureTrack(output, end_s=length_s)
        self._last_pts = -1

    def write(self, frame: VideoFrame, start_s: float) -> None:
        """Encode the next frame. If several frames have one start, the first is kept, as in the index."""
        pts = round(start_s / _TICK) if self._last_pts >= 0 else 0
        if pts <= self._last_pts or (pts >= self._end_pts and self._last_pts >= 0):
            return
        self._last_pts = pts
        painted = self._painter.paint(frame)
        painted.pts, painted.time_base = pts, _TICK
        self._mux(self._stream.encode(painted))

    def close(self) -> None:
        """Encode the remaining frames."""
        self._mux(self._stream.encode())
        self._track.close()

    def _mux(self, packets: list[Any]) -> None:
        for packet in packets:
            self._track.mux(packet)


class _Painter:
    """Turns decoded frames into YUV 4:2:0 of one size, BT.709, limited range, upright."""

    def __init__(self, size: Size) -> None:
        self._size = size
        self._to_rgb = RgbConverter()
        self._to_yuv = VideoReformatter()

    def paint(self, frame: VideoFrame) -> VideoFrame:
        posture, colours = read_posture(frame), read_colours(frame)
        matrix, source_range = colours.matrix, colours.range
        if any(posture) or not colours.is_sdr_709 or not frame.format.name.startswith(_PLANAR_YUV):
            width, height = reversed(self._size) if posture.swaps_axes else self._size
            image = posture.turn(self._to_rgb.convert(frame, width, height))
            frame, matrix, source_range = VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24"), None, None
        return self._to_yuv.reformat(
            frame,
            *self._size,
            "yuv420p",
            src_colorspace=matrix,
            src_color_range=source_range,
            dst_colorspace=Colorspace.ITU709,
            dst_color_range=ColorRange.MPEG,
            interpolation=_EXACT,
        )
