"""Loading of weights of an earlier Cuepoint video encoder, from the folder that pretraining writes, `data/encoder/`."""

from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load
from torch import nn

from corpus.files import read_json
from models.encoders.pretrained.hashes import FileHashes, hash_weights

_CONFIG, _WEIGHTS = "config.json", "video.safetensors"  # of models.artefacts.encoder_files


def load_earlier_weights(encoder: nn.Module, folder: Path, *, stated: FileHashes | None) -> dict[str, str]:
    """Load the weights of a folder into an encoder with the same layers, and return the sha256 of the file.

    Raises:
        FileNotFoundError: when the folder holds no video encoder.
        ValueError: naming a weight that does not fit, or a file whose hash differs from the folder's config or the
            preset.
    """
    path, config = folder / _WEIGHTS, folder / _CONFIG
    for needed in (config, path):
        if not needed.is_file():
            raise FileNotFoundError(
                f"{needed} does not exist; as source of a video encoder, name a folder that dvc repro pretrain wrote, "
                "for instance data/encoder/ of an earlier run"
            )
    hash_weights([path], stated={_WEIGHTS: read_json(config)["sha256"][_WEIGHTS]})
    hashes = hash_weights([path], stated=stated)
    try:
        weights = load(path.read_bytes())
    except SafetensorError as error:
        raise ValueError(f"{path} cannot be read as safetensors: {error}; copy it again") from error
    _require_fit(encoder, {name: tuple(weight.shape) for name, weight in weights.items()}, path)
    encoder.load_state_dict(weights)
    return hashes


def _require_fit(encoder: nn.Module, found: dict[str, tuple[int, ...]], path: Path) -> None:
    expected = {name: tuple(weight.shape) for name, weight in encoder.state_dict().items()}
    wrong = [name for name in sorted({*expected, *found}) if expected.get(name) != found.get(name)]
    if wrong:
        first = wrong[0]
        there, here = (shapes.get(first, "missing") for shapes in (found, expected))
        raise ValueError(
            f"{path} does not fit {type(encoder).__name__}: {len(wrong)} weights differ; "
            f"{first} is {there} in the file and {here} in the encoder; "
            "set the values of the earlier encoder from its config.json, or remove source"
        )
