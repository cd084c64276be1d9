"""Decoded frames to upright squares of RGB."""

from typing import NamedTuple, cast

import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation, VideoReformatter
from numpy.typing import NDArray

Images = NDArray[np.uint8]


class Scaler:
    """Turns decoded frames into upright squares; one a stream, because its set-up costs more than a frame."""

    def __init__(self, size_px: int) -> None:
        """Give squares of this size."""
        self._size_px = size_px
        self._reformatter = VideoReformatter()
        self._rotation: int | None = None
        self._posture = Posture()

    def scale(self, frame: VideoFrame) -> Images:
        """Return (H, W, 3)."""
        if frame.rotation != self._rotation:  # to read the matrix of every frame costs more than to scale it
            self._rotation, self._posture = frame.rotation, read_posture(frame)
        small = self._reformatter.reformat(
            frame, self._size_px, self._size_px, "rgb24", interpolation=Interpolation.FAST_BILINEAR, threads=1
        )
        return self._posture.turn(np.asarray(small.to_ndarray(), dtype=np.uint8))


class Posture(NamedTuple):
    """How a stored image becomes upright: its axes are exchanged, then their directions."""

    swaps_axes: bool = False
    flips_rows: bool = False
    flips_columns: bool = False

    def turn(self, image: Images) -> Images:
        """Return a view of an image, (H, W, 3), or the image itself where it is upright."""
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
