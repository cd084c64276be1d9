"""Orientation and display size: turns stored frames upright and finds the size at which players show them."""

from fractions import Fraction
from pathlib import Path
from typing import NamedTuple, cast

import numpy as np
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from corpus.media.files.errors import UndecodableError
from corpus.media.files.reading import open_media

Images = NDArray[np.uint8]

_MAX_PIXEL_ASPECT = 10  # of one side to the other; pixels with a higher claim count as square


class Posture(NamedTuple):
    """Orientation of a stored image: exchange the axes, then flip their directions to make it upright."""

    swaps_axes: bool = False
    flips_rows: bool = False
    flips_columns: bool = False

    def turn(self, image: Images) -> Images:
        """Return an upright view of an image, (H, W, 3), or the image itself if it is upright."""
        if self.swaps_axes:
            image = image.swapaxes(0, 1)
        if self.flips_rows:
            image = image[::-1]
        return image[:, ::-1] if self.flips_columns else image


def read_posture(frame: VideoFrame) -> Posture:
    """Read the display matrix of a frame; its angles are rounded to quarter turns."""
    matrix = cast("memoryview[int] | None", frame.side_data.get("DISPLAYMATRIX"))
    if matrix is None:
        return Posture()
    # A pixel at (column x, row y) is shown at column a * x + c * y and row b * x + d * y, up to a shift.
    a, b, _, c, d = np.frombuffer(matrix, dtype=np.int32)[:5].tolist()
    swaps_axes = abs(b) + abs(c) > abs(a) + abs(d)
    across, down = (c, b) if swaps_axes else (a, d)
    return Posture(swaps_axes, flips_rows=down < 0, flips_columns=across < 0)


class Size(NamedTuple):
    """Width and height in pixels."""

    width: int
    height: int

    def swap(self, swaps_axes: bool) -> "Size":
        """Return the size with width and height exchanged if `swaps_axes`."""
        return Size(self.height, self.width) if swaps_axes else self


def read_pixel_aspect(stream: VideoStream) -> Fraction:
    """Return the pixel aspect (width over height) of the container, otherwise of the stream, otherwise 1."""
    aspect = stream.sample_aspect_ratio or stream.codec_context.sample_aspect_ratio or Fraction(1)
    return aspect if Fraction(1, _MAX_PIXEL_ASPECT) <= aspect <= _MAX_PIXEL_ASPECT else Fraction(1)


def show_size(frame: VideoFrame, pixel_aspect: Fraction, posture: Posture) -> Size:
    """Return the size at which players show a decoded frame: upright, and with square pixels.

    As in browsers, the shorter side grows: 96 x 96 pixels of 64:45 are shown as 137 x 96, and of 45:64 as 96 x 137.
    """
    wider, taller = max(pixel_aspect, Fraction(1)), max(1 / pixel_aspect, Fraction(1))
    return Size(round(frame.width * wider), round(frame.height * taller)).swap(posture.swaps_axes)


def find_shown_size(stream: VideoStream, frame: VideoFrame) -> Size:
    """Return the size at which players show a decoded frame of a stream."""
    return show_size(frame, read_pixel_aspect(stream), read_posture(frame))


def read_shown_size(path: Path) -> Size:
    """Return the size at which players show the first decodable frame of a file.

    Raises:
        FileNotFoundError: naming a missing file.
        UndecodableError: naming the file and why it cannot be decoded.
    """
    with open_media(path) as reader:
        first = next(reader.pictures(), None)
        if first is None:
            raise UndecodableError(path, "no frame can be decoded")
        return find_shown_size(reader.video, first)
