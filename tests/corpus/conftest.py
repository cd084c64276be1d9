"""Drawn videos whose frames carry their own number, so that a test can ask which frame came back."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

_ROWS, _COLUMNS = 2, 4  # eight bits, most significant first


def draw_number(number: int, width: int, height: int) -> NDArray[np.uint8]:
    """Draw a number as black and white blocks: (height, width, 3)."""
    bits = [(number >> shift) & 1 for shift in range(7, -1, -1)]
    blocks = np.array(bits, dtype=np.uint8).reshape(_ROWS, _COLUMNS) * 255
    rows = np.arange(height) * _ROWS // height
    columns = np.arange(width) * _COLUMNS // width
    return np.repeat(blocks[rows][:, columns][..., None], 3, axis=2)


def read_number(image: NDArray[np.uint8]) -> int:
    """Read the number from an upright square frame."""
    size = len(image)
    rows = (np.arange(_ROWS) * 2 + 1) * size // (2 * _ROWS)
    columns = (np.arange(_COLUMNS) * 2 + 1) * size // (2 * _COLUMNS)
    bits = (image[rows][:, columns].mean(axis=-1) > 127).ravel()
    return int(sum(int(bit) << shift for bit, shift in zip(bits, range(7, -1, -1), strict=True)))


class NumberedClips:
    """Writes such videos into a folder and reads the numbers back."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(  # noqa: PLR0913 # each is one property of a video file that a test varies
        self,
        name: str = "clip.mp4",
        *,
        starts_ms: Sequence[int] = tuple(range(0, 4000, 100)),
        codec: str = "libx264",
        pix_fmt: str = "yuv420p",
        size: tuple[int, int] = (64, 48),
        rotation: int = 0,
        options: dict[str, str] | None = None,
        sound_s: float = 0.0,
    ) -> Path:
        """Write frame n, showing the number n, at starts_ms[n]. `rotation` turns what is stored, not what is shown."""
        path = self.folder / name
        with av.open(str(path), "w") as container:
            stream = container.add_stream(codec, rate=10, options=options or {})
            turned = rotation % 180 != 0
            stream.width, stream.height = size[::-1] if turned else size
            stream.pix_fmt = pix_fmt
            stream.codec_context.time_base = Fraction(1, 1000) if codec not in ("mpeg4",) else Fraction(1, 10)
            if rotation:
                stream.set_display_rotation(-rotation)
            sound = container.add_stream("aac", rate=8000, layout="mono") if sound_s else None
            for number, start_ms in enumerate(starts_ms):
                image = np.rot90(draw_number(number, *size), rotation // 90)  # stored turned back, shown upright
                frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
                frame.pts = start_ms if codec != "mpeg4" else number
                frame.time_base = stream.codec_context.time_base
                container.mux(stream.encode(frame.reformat(format=pix_fmt)))
            container.mux(stream.encode(None))
            if sound is not None:
                samples = av.AudioFrame.from_ndarray(np.zeros((1, int(8000 * sound_s)), np.float32), format="fltp", layout="mono")
                samples.sample_rate, samples.pts = 8000, 0
                container.mux([*sound.encode(samples), *sound.encode(None)])
        return path

    @staticmethod
    def read(images: NDArray[np.uint8]) -> list[int]:
        """Return the number of each frame of (T, H, W, 3)."""
        return [read_number(image) for image in images]


@pytest.fixture
def clips(tmp_path: Path) -> NumberedClips:
    """Write numbered videos into the test's folder."""
    return NumberedClips(tmp_path)
