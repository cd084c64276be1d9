"""Videos of one colour with stored values and tags of the test's choice."""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.frame import VideoFrame

BT709, UNSPECIFIED, SMPTE170M, BT2020, PQ, HLG, P3 = 1, 2, 6, 9, 16, 18, 12  # of ITU-T H.273


@dataclass(frozen=True, slots=True)
class Flat:
    """One colour: the stored samples (Y, Cb, Cr) and the colour tags of the file."""

    samples: tuple[int, int, int]
    size: tuple[int, int] = (64, 48)
    pixels: str = "yuv420p"
    matrix: int = UNSPECIFIED
    transfer: int = UNSPECIFIED
    primaries: int = UNSPECIFIED
    is_full_range: bool = False


def write_flat(path: Path, flat: Flat, *, codec: str = "libx264", num_frames: int = 10, aspect: Fraction | None = None) -> Path:
    """Write 10 frames a second; `aspect` is the aspect of a pixel."""
    with av.open(str(path), "w") as output:
        stream: Any = output.add_stream(codec, rate=10)
        stream.width, stream.height, stream.pix_fmt = *flat.size, flat.pixels
        context = stream.codec_context
        context.colorspace, context.color_trc, context.color_primaries = flat.matrix, flat.transfer, flat.primaries
        context.color_range = 2 if flat.is_full_range else 1
        if aspect:
            context.sample_aspect_ratio = aspect
        for number in range(num_frames):
            frame = fill_frame(flat)
            frame.pts = number
            output.mux(stream.encode(frame))
        output.mux(stream.encode())
    return path


def fill_frame(flat: Flat) -> VideoFrame:
    """Return a frame with these samples and tags."""
    frame = VideoFrame(*flat.size, flat.pixels)
    for plane, value in zip(frame.planes, flat.samples, strict=True):
        kind = np.uint16 if "10" in flat.pixels else np.uint8
        plane.update(np.full(plane.buffer_size // np.dtype(kind).itemsize, value, dtype=kind).tobytes())
    frame.colorspace, frame.color_trc, frame.color_primaries = flat.matrix, flat.transfer, flat.primaries
    frame.color_range = 2 if flat.is_full_range else 1
    return frame
