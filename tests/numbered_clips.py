"""Drawn videos whose frames show their number, so that a test can identify a decoded frame."""

import struct
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from scheduling import keep_scheduling

_ROWS, _COLUMNS = 2, 4  # eight bits, most significant first
_MP4_PARENTS = (b"edts", b"trak", b"moov")


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
    """Writes numbered videos into a folder and reads the numbers back."""

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
        sound_codec: str = "aac",
        muxer: dict[str, str] | None = None,
        rate: Fraction = Fraction(10),
    ) -> Path:
        """Write frame n, showing the number n, at starts_ms[n]. `rotation` turns the stored picture, not the displayed one."""
        path = self.folder / name
        with keep_scheduling(), av.open(str(path), "w", options=muxer or {}) as container:
            stream = container.add_stream(codec, rate=rate, options=options or {})
            turned = rotation % 180 != 0
            stream.width, stream.height = size[::-1] if turned else size
            stream.pix_fmt = pix_fmt
            counts_frames = codec in ("mpeg4", "mpeg2video", "mjpeg") or name.endswith(".avi") or rate != 10
            stream.codec_context.time_base = 1 / rate if counts_frames else Fraction(1, 1000)
            if rotation:
                stream.set_display_rotation(-rotation)
            sound = container.add_stream(sound_codec, rate=8000, layout="mono") if sound_s else None
            for number, start_ms in enumerate(starts_ms):
                image = np.rot90(draw_number(number, *size), rotation // 90)  # stored turned, displayed upright
                frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
                frame.pts = number if counts_frames else start_ms
                frame.time_base = stream.codec_context.time_base
                container.mux(stream.encode(frame.reformat(format=pix_fmt)))
            container.mux(stream.encode(None))
            if sound is not None:
                _write_silence(container, sound, sound_s)
        return path

    @staticmethod
    def set_edits(path: Path, edits: Sequence[tuple[float, float | None]]) -> None:
        """Replace the edit list of the first track of an mp4 with its index at the end.

        An edit is (duration, start in the media), in seconds; a start of None displays nothing.
        """
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            tick_s = float(stream.time_base or 0)
        content = bytearray(path.read_bytes())
        at = content.index(b"elst") - 4
        (size,) = struct.unpack(">I", content[at : at + 4])
        delay = struct.unpack(">IiI", content[at + size - 12 : at + size])[1]  # of display after decoding
        rows = [
            struct.pack(">IiI", round(1000 * length_s), -1 if start_s is None else delay + round(start_s / tick_s), 1 << 16)
            for length_s, start_s in edits
        ]
        body = b"elst" + struct.pack(">II", 0, len(rows)) + b"".join(rows)
        content[at : at + size] = struct.pack(">I", len(body) + 4) + body
        for name in _MP4_PARENTS:
            parent = content.rindex(name, 0, at) - 4
            (old,) = struct.unpack(">I", content[parent : parent + 4])
            content[parent : parent + 4] = struct.pack(">I", old + len(body) + 4 - size)
        path.write_bytes(content)

    @staticmethod
    def set_matrix(path: Path, matrix: tuple[int, int, int, int]) -> None:
        """Replace a, b, c, d of the display matrix of the first track of an mp4."""
        content = bytearray(path.read_bytes())
        at = content.index(b"tkhd") + 4 + 40
        for place, value in zip((0, 4, 12, 16), matrix, strict=True):
            content[at + place : at + place + 4] = struct.pack(">i", value << 16)
        path.write_bytes(content)

    @staticmethod
    def read(images: NDArray[np.uint8]) -> list[int]:
        """Return the number of each frame of (T, H, W, 3)."""
        return [read_number(image) for image in images]


def _write_silence(container: av.container.OutputContainer, stream: av.AudioStream, seconds: float) -> None:
    samples = av.AudioFrame.from_ndarray(np.zeros((1, int(8000 * seconds)), np.float32), format="fltp", layout="mono")
    samples.sample_rate, samples.pts = 8000, 0
    container.mux([*stream.encode(samples), *stream.encode(None)])
