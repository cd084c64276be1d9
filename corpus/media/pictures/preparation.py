"""Picture preparation: turns a shown picture of any shape into the square of pixels that a network reads."""

from typing import Annotated, Literal

import numpy as np
from pydantic import Field, PositiveFloat

from corpus.media.pictures.upright import Images, Size
from corpus.params import Params

Level = Annotated[float, Field(ge=0, le=255)]
Byte = Annotated[int, Field(ge=0, le=255)]

_MAX_ASPECT = 16  # of a cropped picture; longer ones are squeezed along their length, so that memory stays bounded


class PicturePreparation(Params):
    """Conversion of a shown picture to the input square of a network, and of levels 0 to 255 to the network's numbers.

    - `stretch` brings both stored sides to the size; pixels that are not square stay so.
    - `crop` brings the shorter shown side to the size and cuts the middle out of the longer one, as the processors of the package
      transformers do: the longer side and the margin before the cut are rounded down.
    - `crop_rounded` differs in the margin, which is rounded to the nearest number, halves to the even one, as in torchvision's
      `CenterCrop` and with it in open_clip.
    - `pad` brings the longer shown side to the size and centres the picture on `padding_colour`; the margin before it is
      rounded down.
    """

    resize: Literal["stretch", "crop", "crop_rounded", "pad"] = "stretch"
    interpolation: Literal["fast_bilinear", "bilinear", "bicubic"] = "fast_bilinear"  # the last two are those of PIL, antialiased
    padding_colour: tuple[Byte, Byte, Byte] = (0, 0, 0)  # red, green, blue
    mean: tuple[Level, Level, Level] = (127.5, 127.5, 127.5)  # of red, green and blue
    scale: tuple[PositiveFloat, PositiveFloat, PositiveFloat] = (64.0, 64.0, 64.0)  # levels become (level - mean) / scale

    def fit(self, shown: Size, size_px: int) -> Size:
        """Return the size to which a picture of this shown size is scaled."""
        if self.resize == "stretch":
            return Size(size_px, size_px)
        shorter, longer = sorted(shown)
        if self.resize in ("crop", "crop_rounded"):
            fitted = Size(min(size_px * longer // shorter, _MAX_ASPECT * size_px), size_px)
        else:
            fitted = Size(size_px, max(1, round(size_px * shorter / longer)))
        return fitted.swap(shown.height > shown.width)

    def square(self, image: Images, size_px: int) -> Images:
        """Return the square of an upright image already scaled to `fit`: (H, W, 3) -> (size_px, size_px, 3)."""
        height, width = image.shape[:2]
        if height >= size_px and width >= size_px:
            top, left = self._cut(height - size_px), self._cut(width - size_px)
            return image[top : top + size_px, left : left + size_px]
        top, left = (size_px - height) // 2, (size_px - width) // 2
        padded = np.empty((size_px, size_px, 3), dtype=np.uint8)
        padded[:] = self.padding_colour
        padded[top : top + height, left : left + width] = image
        return padded

    def _cut(self, surplus: int) -> int:
        """Return how many pixels are cut before the middle."""
        return round(surplus / 2) if self.resize == "crop_rounded" else surplus // 2
