"""Picture preparation of an open_clip model, as `preprocess_cfg` of its configuration states it."""

from pathlib import Path

from corpus.media import PicturePreparation
from models.encoders.pretrained.open_clip.values import Values
from models.encoders.pretrained.pictures import LEVELS, PublishedPictures

# The defaults of `open_clip.transform.PreprocessCfg`, constants of the pictures that OpenAI's CLIP was trained on.
_MEAN, _SCALE = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
_RESIZE = {"shortest": "crop_rounded", "longest": "pad", "squash": "stretch"}


def read_preprocessing(values: Values, path: Path) -> PublishedPictures:
    """Return the pictures that an open_clip model was trained on; messages name `path`, the file of its configuration.

    Raises:
        ValueError: naming a value that a `PicturePreparation` cannot express.
    """
    stated = values.get("preprocess_cfg") or {}
    resize, interpolation = stated.get("resize_mode", "shortest"), stated.get("interpolation", "bicubic")
    if resize not in _RESIZE:
        raise ValueError(f"{path}: preprocess_cfg.resize_mode is {resize!r}; supported are {', '.join(_RESIZE)}")
    if interpolation not in ("bilinear", "bicubic"):
        raise ValueError(f"{path}: preprocess_cfg.interpolation is {interpolation!r}; supported are bilinear and bicubic")
    size = stated.get("size", values["model_cfg"]["vision_cfg"].get("image_size", 224))
    sides = {size} if isinstance(size, int) else set(size)
    if len(sides) != 1:
        raise ValueError(f"{path}: pictures of {size} px are not squares; only squares are supported")
    fill = stated.get("fill_color", 0)
    preparation = {
        "resize": _RESIZE[resize],
        "interpolation": interpolation,
        "padding_colour": [fill] * 3 if isinstance(fill, int) else fill,
        "mean": [LEVELS * value for value in stated.get("mean", _MEAN)],
        "scale": [LEVELS * value for value in stated.get("std", _SCALE)],
    }
    return PublishedPictures(sides.pop(), PicturePreparation.model_validate(preparation), path)
