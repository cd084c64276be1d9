"""Conversion of decoded frames to RGB, and to the upright squares that networks read."""

from fractions import Fraction

import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation, VideoReformatter
from PIL import Image

from corpus.media.pictures.colours import read_colours
from corpus.media.pictures.preparation import PicturePreparation
from corpus.media.pictures.tone_mapping import map_to_sdr
from corpus.media.pictures.upright import Images, Posture, Size, read_posture, show_size

# HDR alone shrinks in swscale, before it is tone mapped, so that 4K stays affordable: chroma at full width, accurate rounding and
# the same bytes from every processor. Without these flags the result is twice as far from that of PIL.
_ACCURATE = Interpolation.FULL_CHR_H_INT | Interpolation.FULL_CHR_H_INP | Interpolation.ACCURATE_RND | Interpolation.BITEXACT
_METHODS = {
    "fast_bilinear": Interpolation.FAST_BILINEAR,
    "bilinear": Interpolation.BILINEAR | _ACCURATE,
    "bicubic": Interpolation.BICUBIC | _ACCURATE,
}
_NEARLY_SQUARE = Fraction(1, 100)  # such an aspect is left of a size that an encoder rounded; processors of pictures know none
_PIL_METHODS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


class Scaler:
    """Turns decoded frames into upright squares; one a stream, because its set-up costs more than a frame.

    Published encoders were trained on squares that PIL made of RGB pictures: with `bilinear` and `bicubic` so are these, of the
    whole frame as RGB. With `fast_bilinear` the frame shrinks while it becomes RGB.
    """

    def __init__(self, size_px: int, preparation: PicturePreparation | None = None) -> None:
        """Produce squares of this size. Without a preparation, stretch the whole picture."""
        self._size_px = size_px
        self._preparation = preparation or PicturePreparation()
        method = self._preparation.interpolation
        self._converter = RgbConverter(_METHODS[method], num_threads=1)
        self._pil_method = _PIL_METHODS.get(method)
        self._whole = RgbConverter(num_threads=1)
        self._look: tuple[int, int, int, Fraction] | None = None  # of the last frame
        self._posture, self._fitted = Posture(), Size(0, 0)

    def scale(self, frame: VideoFrame, pixel_aspect: Fraction) -> Images:
        """Return (H, W, 3)."""
        look = frame.width, frame.height, frame.rotation, pixel_aspect
        if look != self._look:  # reading the matrix of every frame costs more than scaling it
            self._look, self._posture = look, read_posture(frame)
            is_square = self._pil_method is not None and abs(pixel_aspect - 1) <= _NEARLY_SQUARE
            shown = show_size(frame, Fraction(1) if is_square else pixel_aspect, self._posture)
            self._fitted = self._preparation.fit(shown, self._size_px)
        return self._preparation.square(self._fit(frame), self._size_px)

    def _fit(self, frame: VideoFrame) -> Images:
        """Return the upright picture in the size that the preparation asks for."""
        if self._pil_method is None or not read_colours(frame).is_sdr_709:
            return self._posture.turn(self._converter.convert(frame, *self._fitted.swap(self._posture.swaps_axes)))
        shown = self._posture.turn(self._whole.convert(frame, frame.width, frame.height))
        return np.asarray(Image.fromarray(np.ascontiguousarray(shown)).resize(self._fitted, self._pil_method))


class RgbConverter:
    """Converter of decoded frames to the RGB that players show: SDR, BT.709, full range, 8 bits."""

    def __init__(self, interpolation: Interpolation = Interpolation.BILINEAR, *, num_threads: int = 0) -> None:
        """Scale by this method; 0 threads means one per processor."""
        self._reformatter = VideoReformatter()
        self._interpolation = interpolation
        self._num_threads = num_threads

    def convert(self, frame: VideoFrame, width: int, height: int) -> Images:
        """Return the frame in this size in its stored orientation: (height, width, 3)."""
        colours = read_colours(frame)
        scaled = self._reformatter.reformat(
            frame,
            width,
            height,
            "rgb24" if colours.is_sdr_709 else "rgb48le",
            src_colorspace=colours.matrix,
            src_color_range=colours.range,
            interpolation=self._interpolation,
            threads=self._num_threads,
        )
        image = scaled.to_ndarray()
        if colours.is_sdr_709:
            return np.asarray(image, dtype=np.uint8)
        return map_to_sdr(np.asarray(image, dtype=np.uint16), colours.transfer, colours.primaries)
