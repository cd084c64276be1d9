"""Picture preparation: sizes and positions by hand, photographs against PIL, and unchanged bytes of the default."""

import functools
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from pydantic import ValidationError

from corpus.media import ClipSampling, Images, PicturePreparation, iter_clips
from corpus.media.pictures.scaling import RgbConverter
from corpus.media.pictures.upright import Size
from real_pictures import Photo, load_photo, square_by_pil, write_photo

SHRUNK = {  # a side of 64 or 224 px is smaller than the picture
    "landscape": Photo(),
    "portrait": Photo("flower.jpg", size=(426, 640)),
    "odd sides": Photo(size=(641, 427)),
    "full HD": Photo("flower.jpg", size=(1920, 1080)),
    "BT.601": Photo(is_601=True),
    "wide pixels": Photo(size=(480, 426), aspect=Fraction(64, 45)),
    "tall pixels": Photo("flower.jpg", size=(480, 480), aspect=Fraction(45, 64)),
    "turned by 90": Photo(rotation=90),
    "turned by 180": Photo("flower.jpg", rotation=180),
    "turned by 270, wide pixels": Photo(size=(480, 426), aspect=Fraction(64, 45), rotation=270),
}


@pytest.fixture(scope="module")
def write(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Photo], Path]:
    """Write a photograph once for all tests of this module."""
    folder = tmp_path_factory.mktemp("photos")

    @functools.cache
    def write_once(photo: Photo) -> Path:
        return write_photo(folder / f"{abs(hash(photo))}.mkv", photo)

    return write_once


def prepare(path: Path, size_px: int, preparation: PicturePreparation) -> Images:
    """Return the first frame of a video in clip form."""
    sampling = ClipSampling(clip_rate_hz=1.0, offsets_s=(0.0,), size_px=size_px, preparation=preparation)
    return next(iter_clips(path, sampling, duration_s=0.2))[0, 0]


def measure(found: Images, expected: Images) -> tuple[float, float, int]:
    """Return the mean, the 99.9th percentile and the maximum of the absolute differences."""
    differences = np.abs(found.astype(int) - expected)
    return float(differences.mean()), float(np.percentile(differences, 99.9)), int(differences.max())


def show(path: Path, rotation: int) -> Images:
    """Return the first frame of a video as RGB, turned back from how it is stored."""
    with av.open(str(path)) as container:
        stored = next(container.decode(video=0)).to_ndarray(format="rgb24")
    return np.rot90(stored, -rotation // 90)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("resize", ["stretch", "crop", "crop_rounded", "pad"])
@pytest.mark.parametrize("name", [*SHRUNK, "small"])
@pytest.mark.slow
def test_a_picture_is_what_pil_makes_of_the_decoded_frame(name: str, resize: Any, interpolation: Any, write: Any) -> None:
    photo = SHRUNK.get(name, Photo(size=(101, 77)))
    path = write(photo)
    preparation = PicturePreparation(resize=resize, interpolation=interpolation, padding_colour=(124, 116, 104))
    for size_px in (64, 224):
        expected = square_by_pil(show(path, photo.rotation), size_px, preparation, aspect=photo.aspect)
        np.testing.assert_array_equal(prepare(path, size_px, preparation), expected)


@pytest.mark.parametrize("name", SHRUNK)
def test_a_picture_is_near_the_photograph_that_was_encoded(name: str, write: Any) -> None:
    preparation = PicturePreparation(resize="crop", interpolation="bicubic")
    expected = square_by_pil(load_photo(SHRUNK[name]), 224, preparation, aspect=SHRUNK[name].aspect)
    mean, most, _ = measure(prepare(write(SHRUNK[name]), 224, preparation), expected)
    assert mean < 2  # the file keeps the colour of every fourth pixel, and RGB repeats it
    assert most <= 40


@pytest.mark.parametrize("name", ["china.jpg", "flower.jpg"])
def test_hdr_is_near_pil_on_the_tone_mapped_picture(name: str, write: Any) -> None:
    path = write(Photo(name, is_hdr=True))
    with av.open(str(path)) as container:
        frame = next(container.decode(video=0))
    shown = RgbConverter().convert(frame, frame.width, frame.height)
    preparation = PicturePreparation(resize="crop", interpolation="bicubic")
    mean, most, _ = measure(prepare(path, 224, preparation), square_by_pil(shown, 224, preparation))
    assert mean < 2.5  # scaling averages PQ codes, whose mean is darker than the mean of tone-mapped levels
    assert most <= 30


@pytest.mark.parametrize(
    ("resize", "shown", "expected"),
    [
        ("stretch", (640, 360), (10, 10)),
        ("crop", (640, 360), (17, 10)),  # 17.8 rounded down
        ("crop", (360, 640), (10, 17)),
        ("crop", (10, 10), (10, 10)),
        ("crop", (9000, 3), (160, 10)),  # not 30,000
        ("pad", (640, 360), (10, 6)),  # 5.6
        ("pad", (360, 640), (6, 10)),
        ("pad", (9000, 3), (10, 1)),
    ],
)
def test_the_size_to_which_a_picture_is_scaled(resize: Any, shown: tuple[int, int], expected: tuple[int, int]) -> None:
    assert PicturePreparation(resize=resize).fit(Size(*shown), 10) == expected


def test_the_square_is_cut_from_the_middle_or_centred_on_the_padding_colour() -> None:
    rows = np.arange(7, dtype=np.uint8)[:, None, None].repeat(4, axis=1).repeat(3, axis=2)  # 7 rows of 4 pixels
    assert PicturePreparation(resize="crop").square(rows, 4)[:, 0, 0].tolist() == [1, 2, 3, 4]  # 1 before, 2 behind
    assert PicturePreparation(resize="crop_rounded").square(rows, 4)[:, 0, 0].tolist() == [2, 3, 4, 5]  # 1.5 to the even 2
    padded = PicturePreparation(resize="pad", padding_colour=(9, 8, 7)).square(rows[:3], 6)
    assert padded[:, 2, 0].tolist() == [9, 0, 1, 2, 9, 9]
    assert padded[2].tolist() == [[9, 8, 7], [1, 1, 1], [1, 1, 1], [1, 1, 1], [1, 1, 1], [9, 8, 7]]


def test_a_frame_is_cut_where_players_show_its_middle(clips: Any) -> None:
    # Stored turned, the number lies in 2 x 4 blocks of an upright 96 x 48; the middle contains the two inner columns.
    preparation = PicturePreparation(resize="crop", interpolation="bilinear")
    for rotation in (0, 90, 180, 270):
        path = clips.write(f"turned_{rotation}.mp4", starts_ms=[0, 100], size=(96, 48), rotation=rotation)
        sampling = ClipSampling(clip_rate_hz=10.0, offsets_s=(0.0,), size_px=48, preparation=preparation)
        second = np.concatenate(list(iter_clips(path, sampling, duration_s=0.2)))[1, 0]  # the number 1: the last block is white
        assert second[36, 44].min() < 60
        assert second.max() < 90  # its block lies outside the middle


def test_the_default_is_the_preparation_of_place_cnn() -> None:
    assert PicturePreparation().model_dump() == {
        "resize": "stretch",
        "interpolation": "fast_bilinear",
        "padding_colour": (0, 0, 0),
        "mean": (127.5, 127.5, 127.5),
        "scale": (64.0, 64.0, 64.0),
    }
    assert ClipSampling(clip_rate_hz=1.0, offsets_s=(0.0,), size_px=8).preparation == PicturePreparation()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"mean": (1.0, 2.0)}, "mean.2\n  Field required"),
        ({"mean": (0.0, 0.0, 256.0)}, "less than or equal to 255"),
        ({"scale": (1.0, 0.0, 1.0)}, "greater than 0"),
        ({"padding_colour": (0, 0, 300)}, "less than or equal to 255"),
        ({"resize": "fit"}, "'stretch', 'crop', 'crop_rounded' or 'pad'"),
    ],
)
def test_values_outside_of_their_ranges_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        PicturePreparation.model_validate(values)
