"""Photographs as videos of one repeated picture, and their squares by PIL as a slow reference of picture preparation."""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import Colorspace, Interpolation, VideoReformatter
from numpy.typing import NDArray
from PIL import Image
from sklearn.datasets import load_sample_image

from corpus.media import PicturePreparation
from flat_videos import BT709, BT2020, PQ, SMPTE170M

_BEST = Interpolation.BICUBIC | Interpolation.FULL_CHR_H_INT | Interpolation.FULL_CHR_H_INP | Interpolation.ACCURATE_RND
_RESAMPLE = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
_WHITE_NITS = 203.0
_TO_2020 = np.array([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]])  # BT.2087-0

Picture = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Photo:
    """A photograph of 640 x 427 pixels scaled to an upright size, and its storage format."""

    name: str = "china.jpg"  # or flower.jpg
    size: tuple[int, int] = (640, 426)
    aspect: Fraction = Fraction(1)  # of an upright pixel, width over height
    rotation: int = 0  # degrees counterclockwise of the stored picture; players turn it back
    is_601: bool = False  # tagged so; BT.709 otherwise
    is_hdr: bool = False  # PQ, BT.2020, ten bits


def load_photo(photo: Photo) -> Picture:
    """Return the upright pixels, (height, width, 3)."""
    image = Image.fromarray(load_sample_image(photo.name))
    return np.asarray(image.resize(photo.size, Image.Resampling.BICUBIC))


def write_photo(path: Path, photo: Photo) -> Path:
    """Write the photo as two frames, 0.2 s, lossless except for 4:2:0; the file name must have a Matroska suffix."""
    with av.open(str(path), "w") as output:
        # Matroska stores no pixel aspect for FFV1, and H.264 in 4:2:0 places its chroma differently from this converter.
        codec, options = ("ffv1", {}) if photo.aspect == 1 else ("libx264", {"qp": "0", "preset": "ultrafast"})
        stream: Any = output.add_stream(codec, rate=10, options=options)
        is_turned = photo.rotation % 180 != 0
        stream.width, stream.height = photo.size[::-1] if is_turned else photo.size
        stream.pix_fmt = _find_pixels(photo)
        if photo.rotation:
            stream.set_display_rotation(-photo.rotation)
        context = stream.codec_context
        context.colorspace = BT2020 if photo.is_hdr else SMPTE170M if photo.is_601 else BT709
        context.color_trc, context.color_primaries = (PQ, BT2020) if photo.is_hdr else (BT709, BT709)
        context.color_range = 1
        if photo.aspect != 1:
            context.sample_aspect_ratio = 1 / photo.aspect if is_turned else photo.aspect
        for number in range(2):
            frame = _convert(photo)
            frame.pts = number
            output.mux(stream.encode(frame))
        output.mux(stream.encode())
    return path


def square_by_pil(shown: Picture, size_px: int, preparation: PicturePreparation, *, aspect: Fraction = Fraction(1)) -> Picture:
    """Return PIL's square of upright pixels, with the steps of torchvision's transforms for PIL."""
    image = Image.fromarray(shown)
    resample = _RESAMPLE[preparation.interpolation]
    if preparation.resize == "stretch":
        return np.asarray(image.resize((size_px, size_px), resample))
    width, height = image.width * max(aspect, Fraction(1)), image.height * max(1 / aspect, Fraction(1))
    shorter, longer = sorted((round(width), round(height)))
    choose: Callable[[int, int], tuple[int, int]] = (lambda a, b: (a, b)) if width <= height else (lambda a, b: (b, a))
    if preparation.resize in ("crop", "crop_rounded"):
        resized = image.resize(choose(size_px, int(size_px * longer / shorter)), resample)
        left, top = (_cut(side - size_px, preparation.resize) for side in resized.size)
        return np.asarray(resized.crop((left, top, left + size_px, top + size_px)))
    resized = image.resize(choose(round(size_px * shorter / longer), size_px), resample)
    square = Image.new("RGB", (size_px, size_px), preparation.padding_colour)
    square.paste(resized, ((size_px - resized.width) // 2, (size_px - resized.height) // 2))
    return np.asarray(square)


def _cut(surplus: int, resize: str) -> int:
    return surplus // 2 if resize == "crop" else int(round(surplus / 2.0))


def _find_pixels(photo: Photo) -> str:
    if photo.aspect != 1:
        return "yuv444p"
    return "yuv420p10le" if photo.is_hdr else "yuv420p"


def _convert(photo: Photo) -> VideoFrame:
    stored = np.ascontiguousarray(np.rot90(load_photo(photo), photo.rotation // 90))
    if photo.is_hdr:
        frame = VideoFrame.from_ndarray(_encode_pq(stored), format="rgb48le")
        matrix = Colorspace.BT2020
    else:
        frame = VideoFrame.from_ndarray(stored, format="rgb24")
        matrix = Colorspace.ITU601 if photo.is_601 else Colorspace.ITU709
    return VideoReformatter().reformat(
        frame, format=_find_pixels(photo), dst_colorspace=matrix, dst_color_range=1, interpolation=_BEST
    )


def _encode_pq(stored: Picture) -> NDArray[np.uint16]:
    """Return the PQ codes of an SDR picture at 203 cd/m2, by the inverse EOTF of BT.2100-2, table 4."""
    nits = _WHITE_NITS * (stored / 255) ** 2.4 @ _TO_2020.T
    powers = (nits / 10_000) ** (2610 / 16384)
    signal = ((3424 / 4096 + 2413 / 128 * powers) / (1 + 2392 / 128 * powers)) ** (2523 / 32)
    return np.rint(65535 * signal).astype(np.uint16)
