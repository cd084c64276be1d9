"""Picture preparation of a published network, read from its preprocessor_config.json."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from corpus.files import read_json
from corpus.media import ClipSampling, PicturePreparation

_INTERPOLATIONS = {2: "bilinear", 3: "bicubic"}  # PIL's numbers of interpolations
LEVELS = 255.0
_SAME_LEVEL = 1e-3


class PublishedPictures(NamedTuple):
    """The input squares of a published network."""

    size_px: int
    preparation: PicturePreparation
    path: Path  # the file with these values


def read_pictures(path: Path) -> PublishedPictures:
    """Read from a preprocessor_config.json the picture preparation of a published network.

    Raises:
        ValueError: naming the file and a value that a `PicturePreparation` cannot express.
    """
    values = read_json(path)
    constants = ("image_mean", "image_std") if values.get("do_normalize", True) else ()
    for key in ("size", "resample", *constants):
        if key not in values:
            raise ValueError(f"{path} has no {key!r}; take the file of the published model")
    if values["resample"] not in _INTERPOLATIONS:
        raise ValueError(f"{path}: resample is {values['resample']}; supported are 2 (bilinear) and 3 (bicubic)")
    for key in ("do_resize", "do_rescale"):
        if not values.get(key, True):
            raise ValueError(f"{path}: {key} is false; only true is supported")
    factor = values.get("rescale_factor", 1 / LEVELS)
    if not math.isclose(factor, 1 / LEVELS, rel_tol=1e-4):
        raise ValueError(f"{path}: rescale_factor is {factor}; only 1/255 is supported")
    size_px, resize = _read_resize(path, values)
    preparation = {
        "resize": resize,
        "interpolation": _INTERPOLATIONS[values["resample"]],
        "mean": [LEVELS * value for value in (values["image_mean"] if constants else [0.0] * 3)],
        "scale": [LEVELS * value for value in (values["image_std"] if constants else [1.0] * 3)],
    }
    return PublishedPictures(size_px, PicturePreparation.model_validate(preparation), path)


def require_pictures(published: PublishedPictures, sampling: ClipSampling) -> None:
    """Compare a sampling with the picture preparation of a published network.

    Raises:
        ValueError: naming each different value and the value to set.
    """
    theirs, own = published.preparation, sampling.preparation
    pairs: dict[str, tuple[Any, Any]] = {"size_px": (published.size_px, sampling.size_px)}
    for name in ("resize", "interpolation", "mean", "scale"):
        pairs[f"preparation.{name}"] = (getattr(theirs, name), getattr(own, name))
    wrong = [f"sampling.{name} to {_spell(one)}, got {_spell(two)}" for name, (one, two) in pairs.items() if not _agree(one, two)]
    if wrong:
        raise ValueError(f"{published.path}: the network was trained on other pictures; set {'; '.join(wrong)}")


def _read_resize(path: Path, values: Mapping[str, Any]) -> tuple[int, str]:
    """Return the size of the square, and the mode."""
    size, is_cropped = values["size"], values.get("do_center_crop", True)
    sides = _list_sides(size)
    if isinstance(size, int) or "shortest_edge" in size:
        if is_cropped and _list_sides(values.get("crop_size", size)) == sides:
            return sides.pop(), "crop"
    elif len(sides) == 1 and (not is_cropped or _list_sides(values.get("crop_size", size)) == sides):
        return sides.pop(), "stretch"
    crop = f"crop_size {values.get('crop_size')}" if is_cropped else "no crop"
    raise ValueError(f"{path}: size {size} with {crop} is not supported; only a square, cropped at the centre or stretched, is")


def _list_sides(size: int | Mapping[str, int]) -> set[int]:
    return {size} if isinstance(size, int) else set(size.values())


def _agree(one: Any, two: Any) -> bool:
    if isinstance(one, tuple):
        return all(math.isclose(left, right, abs_tol=_SAME_LEVEL) for left, right in zip(one, two, strict=True))
    return bool(one == two)


def _spell(value: Any) -> str:
    return f"[{', '.join(f'{part:.7g}' for part in value)}]" if isinstance(value, tuple) else str(value)
