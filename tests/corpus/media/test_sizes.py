"""Display size of videos with non-square pixels."""

from fractions import Fraction
from pathlib import Path

import pytest

from corpus.media import read_shown_size
from flat_videos import Flat, write_flat

SIZES = {  # aspect of a pixel -> size of 96 x 96 pixels
    None: (96, 96),
    Fraction(1): (96, 96),
    Fraction(64, 45): (137, 96),
    Fraction(4): (384, 96),
    Fraction(45, 64): (96, 137),
    Fraction(250, 1): (96, 96),
    Fraction(1, 250): (96, 96),
}


@pytest.mark.parametrize("aspect", SIZES, ids=str)
@pytest.mark.parametrize(("name", "codec"), [("a.avi", "mpeg4"), ("a.mp4", "libx264"), ("a.mkv", "libx264"), ("a.mov", "mpeg4")])
def test_the_shorter_side_grows(name: str, codec: str, aspect: Fraction | None, tmp_path: Path) -> None:
    path = write_flat(tmp_path / name, Flat((128, 128, 128), (96, 96)), codec=codec, aspect=aspect)
    assert read_shown_size(path) == SIZES[aspect]
