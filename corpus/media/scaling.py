"""Decoded frames to upright squares of RGB."""

from typing import cast

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

    def scale(self, frame: VideoFrame) -> Images:
        """Return (H, W, 3)."""
        small = self._reformatter.reformat(
            frame, self._size_px, self._size_px, "rgb24", interpolation=Interpolation.FAST_BILINEAR, threads=1
        )
        return turn_upright(np.asarray(small.to_ndarray(), dtype=np.uint8), frame)


def turn_upright(image: Images, frame: VideoFrame) -> Images:
    """Turn and mirror the image of a frame, (H, W, 3), as its display matrix says; angles are rounded to quarter turns."""
    matrix = cast("memoryview[int] | None", frame.side_data.get("DISPLAYMATRIX"))
    if matrix is None:
        return image
    # A pixel at (column x, row y) is shown at column a * x + c * y and row b * x + d * y; the corner stays a corner.
    a, b, _, c, d = np.frombuffer(matrix, dtype=np.int32)[:5].tolist()
    if abs(b) + abs(c) > abs(a) + abs(d):
        image, a, d = image.swapaxes(0, 1), c, b
    return image[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1]
