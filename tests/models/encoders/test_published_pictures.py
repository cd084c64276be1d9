"""Reading of preprocessor_config.json of published networks, in old and new forms."""

import json
from pathlib import Path
from typing import Any

import pytest

from models.encoders.pretrained.open_clip.pictures import read_preprocessing
from models.encoders.pretrained.pictures import read_pictures
from tiny_text import CLIP_PICTURES

OLD = CLIP_PICTURES | {"size": 224, "crop_size": 224}
NEW = OLD | {
    "size": {"shortest_edge": 224},
    "crop_size": {"height": 224, "width": 224},
    "do_rescale": True,
    "rescale_factor": 0.00392156862745098,
}
SQUARE = {"size": {"height": 384, "width": 384}, "do_center_crop": False, "resample": 2}


def read(values: dict[str, Any], folder: Path) -> Any:
    path = folder / "preprocessor_config.json"
    path.write_text(json.dumps(values), encoding="utf-8")
    return read_pictures(path)


@pytest.mark.parametrize("values", [OLD, NEW])
def test_both_forms_of_clip_are_read(values: dict[str, Any], tmp_path: Path) -> None:
    size_px, preparation, _ = read(values, tmp_path)
    assert (size_px, preparation.resize, preparation.interpolation) == (224, "crop", "bicubic")
    assert preparation.mean == pytest.approx((122.770938, 116.746013, 104.093736))
    assert preparation.scale == pytest.approx((68.500533, 66.632158, 70.323163))


def test_a_square_without_a_crop_is_stretched(tmp_path: Path) -> None:
    size_px, preparation, _ = read(OLD | SQUARE, tmp_path)
    assert (size_px, preparation.resize, preparation.interpolation) == (384, "stretch", "bilinear")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"resample": 1}, r"resample is 1; supported are 2 \(bilinear\) and 3 \(bicubic\)"),
        ({"size": {"shortest_edge": 256}}, r"size {'shortest_edge': 256} with crop_size 224 is not supported"),
        ({"size": {"height": 224, "width": 448}}, r"size .* is not supported"),
        ({"do_center_crop": False}, r"size 224 with no crop is not supported"),
        ({"do_rescale": False}, "do_rescale is false; only true is supported"),
        ({"rescale_factor": 1.0}, "rescale_factor is 1.0; only 1/255 is supported"),
    ],
)
def test_an_unsupported_preparation_is_refused(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"preprocessor_config.json: {message}"):
        read(OLD | change, tmp_path)


def test_a_missing_value_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="preprocessor_config.json has no 'image_std'"):
        read({key: value for key, value in OLD.items() if key != "image_std"}, tmp_path)


def test_pictures_that_are_not_normalised_become_numbers_of_0_to_1(tmp_path: Path) -> None:
    values = {key: value for key, value in OLD.items() if not key.startswith("image_")}
    preparation = read(values | {"do_normalize": False}, tmp_path).preparation
    assert (preparation.mean, preparation.scale) == ((0.0, 0.0, 0.0), (255.0, 255.0, 255.0))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, (16, "crop_rounded", "bicubic")),
        ({"resize_mode": "squash", "interpolation": "bilinear", "size": [24, 24]}, (24, "stretch", "bilinear")),
        ({"resize_mode": "longest", "fill_color": 3}, (16, "pad", "bicubic")),
    ],
)
def test_the_preparation_of_open_clip_is_read(values: dict[str, Any], expected: tuple[int, str, str], tmp_path: Path) -> None:
    config = {"model_cfg": {"vision_cfg": {"image_size": 16}}, "preprocess_cfg": values}
    size_px, preparation, _ = read_preprocessing(config, tmp_path)
    assert (size_px, preparation.resize, preparation.interpolation) == expected
    assert preparation.mean == pytest.approx((122.770938, 116.746013, 104.093736))
    assert preparation.padding_colour == (values.get("fill_color", 0),) * 3


@pytest.mark.parametrize("values", [{"resize_mode": "tile"}, {"interpolation": "random"}, {"size": [16, 24]}])
def test_a_preparation_of_open_clip_that_cannot_be_expressed_is_refused(values: dict[str, Any], tmp_path: Path) -> None:
    config = {"model_cfg": {"vision_cfg": {"image_size": 16}}, "preprocess_cfg": values}
    with pytest.raises(ValueError, match="supported"):
        read_preprocessing(config, tmp_path)
