"""The folder that holds the encoders: weights, tokenizer, and the hashes that make the feature fingerprint.

Where the features of videos come from files, there is a text encoder only.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import TypeAdapter
from safetensors.torch import load, save
from torch import Tensor, nn

from corpus.files import read_json, sha256_file, sha256_json, write_bytes, write_json
from corpus.params import Params
from corpus.store import FeatureStore, Fingerprint, FingerprintMismatchError, require_same_fingerprint
from corpus.text import Tokenizer, load_tokenizer
from models.encoders import EncoderParams
from models.exchange.roles import TextEncoder, TextEncoderParams, VideoEncoder, VideoEncoderParams
from models.text_encoders import TextEncoderParams as TextEncoderRegistry

VIDEO_WEIGHTS, TEXT_WEIGHTS, CONFIG = "video_encoder.safetensors", "text_encoder.safetensors", "config.json"


class Encoders(NamedTuple):
    """Trained encoders, ready to use: in evaluation mode and frozen."""

    video: VideoEncoder | None
    text: TextEncoder
    tokenizer: Tokenizer
    fingerprint: Fingerprint | None  # of the features that `video` makes
    text_digest: str  # hash of the text encoder's values, weights and tokenizer


def save_encoders(
    folder: Path,
    *,
    video_params: VideoEncoderParams | None,
    video: VideoEncoder | None,
    text_params: TextEncoderParams,
    text: TextEncoder,
    tokenizer: Tokenizer,
) -> None:
    """Write weights, tokenizer and config; `config.json` comes last, and with it the folder is complete."""
    names = [TEXT_WEIGHTS, tokenizer.file_name]
    if video is not None:
        names.append(VIDEO_WEIGHTS)
        write_bytes(folder / VIDEO_WEIGHTS, save(_copy_state(video)))
    write_bytes(folder / TEXT_WEIGHTS, save(_copy_state(text)))
    tokenizer.save(folder / tokenizer.file_name)
    config = {
        "video_encoder": video_params.model_dump(mode="json") if video_params else None,
        "text_encoder": text_params.model_dump(mode="json"),
        "sha256": {name: sha256_file(folder / name) for name in names},
        "fingerprint": compute_identity(video_params, video) if video_params and video else None,
        "text_digest": compute_text_digest(text_params, text, tokenizer),
    }
    write_json(folder / CONFIG, config)


def load_encoders(folder: Path) -> Encoders:
    """Read what `save_encoders` wrote and verify every byte of it.

    Raises:
        FileNotFoundError: when the folder holds no finished encoders.
        ValueError: naming a file whose bytes, or a hash whose value, are not the ones that were written.
    """
    config_path = folder / CONFIG
    if not config_path.is_file():
        raise FileNotFoundError(f"{config_path} does not exist: no trained encoders; run: dvc repro pretrain")
    config = read_json(config_path)
    _verify_files(folder, config["sha256"])
    tokenizer = load_tokenizer(folder, config["sha256"])
    video_params = TypeAdapter(EncoderParams | None).validate_python(config["video_encoder"])
    text_params = TypeAdapter(TextEncoderRegistry).validate_python(config["text_encoder"])
    video = _load_weights(video_params.build(), folder / VIDEO_WEIGHTS) if video_params else None
    text = _load_weights(text_params.build(len(tokenizer)), folder / TEXT_WEIGHTS)
    identity = compute_identity(video_params, video) if video_params and video else None
    digest = compute_text_digest(text_params, text, tokenizer)
    _require_equal(config_path, config, {"fingerprint": identity, "text_digest": digest})
    fingerprint = Fingerprint(identity=identity, environment={}) if identity else None
    return Encoders(video, text, tokenizer, fingerprint, digest)


def require_own_features(encoders: Encoders, store: FeatureStore) -> None:
    """Refuse a store whose features another video encoder made, or any video encoder where there is none here.

    Raises:
        FingerprintMismatchError: naming what differs.
    """
    what = f"the feature store {store.folder}"
    if encoders.fingerprint:
        expected = Fingerprint(encoders.fingerprint.identity, store.fingerprint.environment)
        require_same_fingerprint(expected=expected, found=store.fingerprint, what=what)
    elif "weights" in store.fingerprint.identity:
        raise FingerprintMismatchError(f"{what} was made by a video encoder, but the encoders hold none; run: dvc repro")


def compute_identity(params: VideoEncoderParams, encoder: VideoEncoder) -> dict[str, str]:
    """Return the fingerprint's identity: hashes of the sampling, of all component values (normalisation too), of the weights."""
    return {
        "sampling": sha256_json(params.sampling.model_dump(mode="json")),
        "component": sha256_json(params.model_dump(mode="json")),
        "weights": compute_weights_digest(encoder),
    }


def compute_text_digest(params: Params, encoder: TextEncoder, tokenizer: Tokenizer) -> str:
    """Return the hash of everything that makes a sentence's vectors."""
    return sha256_json([params.model_dump(mode="json"), compute_weights_digest(encoder), tokenizer.digest])


def compute_weights_digest(module: nn.Module) -> str:
    """Return the hash of names, types, shapes and bytes of a module's weights and buffers."""
    digest = hashlib.sha256()
    for name, tensor in sorted(_copy_state(module).items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()


def _copy_state(module: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().contiguous() for name, tensor in module.state_dict().items()}


def _load_weights(module: Any, path: Path) -> Any:
    module.load_state_dict(load(path.read_bytes()))
    return module.eval().requires_grad_(False)


def _verify_files(folder: Path, expected: Mapping[str, str]) -> None:
    for name, digest in expected.items():
        found = sha256_file(folder / name)
        if found != digest:
            raise ValueError(f"{folder / name} is damaged: sha256 {found}, expected {digest}; run: dvc repro --force pretrain")


def _require_equal(path: Path, config: Mapping[str, Any], found: Mapping[str, Any]) -> None:
    for key, value in found.items():
        if config[key] != value:
            raise ValueError(
                f"{path}: {key} is {config[key]}, but the loaded encoders give {value}; run: dvc repro --force pretrain"
            )
