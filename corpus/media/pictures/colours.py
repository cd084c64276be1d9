"""Colour interpretation of a decoded frame: YCbCr matrix, range, transfer function and primaries.

Tags of the file decide. Without a tag, the rules of players apply. The numbers of the tags come from ITU-T H.273.
"""

from typing import NamedTuple

from av.video.frame import VideoFrame
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc

_HD_WIDTH_PX, _HD_HEIGHT_PX = 1280, 720  # untagged frames are BT.709 from this size on, BT.601 below
_READABLE_MATRICES = frozenset({0, 1, 4, 5, 6, 7, 9})  # swscale converts only these
_READABLE_RANGES = frozenset({0, 1, 2})
_HDR_TRANSFERS = frozenset({ColorTrc.SMPTE2084, ColorTrc.ARIB_STD_B67})
_KNOWN_PRIMARIES = frozenset({ColorPrimaries.BT709, ColorPrimaries.BT2020, ColorPrimaries.SMPTE432})


class Colours(NamedTuple):
    """Colour space of a frame. `matrix` and `range` are None if swscale converts correctly by the frame's own tags."""

    matrix: Colorspace | None
    range: ColorRange | None
    transfer: ColorTrc
    primaries: ColorPrimaries

    @property
    def is_sdr_709(self) -> bool:
        """Tell whether the RGB values need no change of brightness or gamut."""
        return self.transfer not in _HDR_TRANSFERS and self.primaries == ColorPrimaries.BT709


def read_colours(frame: VideoFrame) -> Colours:
    """Read the tags of a frame and fill in missing ones.

    - Matrix: BT.2020 in HDR; otherwise BT.709 in frames at least 1280 pixels wide or 720 high, and BT.601 below.
    - Transfer: SDR. Primaries: BT.2020 in HDR, BT.709 otherwise. The primaries of SD differ little and count as BT.709.
    """
    transfer = ColorTrc(frame.color_trc) if frame.color_trc in _HDR_TRANSFERS else ColorTrc.BT709
    default = ColorPrimaries.BT2020 if transfer in _HDR_TRANSFERS else ColorPrimaries.BT709
    primaries = ColorPrimaries(frame.color_primaries) if frame.color_primaries in _KNOWN_PRIMARIES else default
    known_range = None if frame.color_range in _READABLE_RANGES else ColorRange.MPEG
    return Colours(_find_matrix(frame, primaries), known_range, transfer, primaries)


def _find_matrix(frame: VideoFrame, primaries: ColorPrimaries) -> Colorspace | None:
    if frame.colorspace in _READABLE_MATRICES:
        return None
    if primaries == ColorPrimaries.BT2020:
        return Colorspace.BT2020
    is_hd = frame.width >= _HD_WIDTH_PX or frame.height >= _HD_HEIGHT_PX
    return Colorspace.ITU709 if is_hd else Colorspace.ITU601
