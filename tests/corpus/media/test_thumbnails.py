"""Thumbnails: proportions and colours as players show them."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from corpus.media.pictures.thumbnails import save_thumbnails
from flat_videos import BT2020, PQ, Flat, write_flat

RED = Flat((81, 90, 240), (96, 96))


@pytest.mark.parametrize(
    ("aspect", "size"),
    [(None, (96, 96)), (Fraction(64, 45), (137, 96)), (Fraction(45, 64), (96, 137)), (Fraction(4), (256, 64))],
    ids=str,
)
def test_pixels_that_are_not_square_are_stretched(aspect: Fraction | None, size: tuple[int, int], tmp_path: Path) -> None:
    save_thumbnails(write_flat(tmp_path / "a.mkv", RED, aspect=aspect), tmp_path / "pictures", count=2)
    for number in range(2):
        with Image.open(tmp_path / "pictures" / f"{number}.jpg") as picture:
            assert picture.size == size
            np.testing.assert_allclose(np.asarray(picture)[10, 10], (254, 0, 0), atol=4)


def test_hdr_is_bright(tmp_path: Path) -> None:
    white = Flat((573, 512, 512), pixels="yuv420p10le", matrix=BT2020, transfer=PQ, primaries=BT2020)
    save_thumbnails(write_flat(tmp_path / "a.mp4", white, codec="libx265"), tmp_path / "pictures", count=1)
    with Image.open(tmp_path / "pictures" / "0.jpg") as picture:
        assert np.asarray(picture).min() >= 244
