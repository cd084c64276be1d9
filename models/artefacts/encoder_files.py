"""Folder of the encoders: weights, tokenizer, and the hashes that make the feature fingerprints.

Each stream of features has one encoder, `<stream>.safetensors`. If features come from files, there is only a text encoder.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final, NamedTuple

from pydantic import TypeAdapter
from safetensors.torch import load, save
from torch import Tensor, nn

from corpus.files import read_json, require_format_version, sha256_file, sha256_json, write_bytes, write_json
from corpus.params import Params
from corpus.store import FeatureStore, Fingerprint, FingerprintMismatchError, require_same_fingerprint
from corpus.text import WORD_RULES, Tokenizer, load_tokenizer
from models.contracts.roles import ClipEncoder, ClipEncoderParams, ClipStart, PublishedParams, TextEncoder, TextEncoderParams
from models.encoders import EncoderParams
from models.encoders.text import TextEncoderParams as TextEncoderRegistry

FORMAT_VERSION: Final = 2  # 1 had one video encoder without a name
TEXT_WEIGHTS, CONFIG = "text_encoder.safetensors", "config.json"
_NOTES = {"licence", "accept_licence", "repository"}  # values of a component that change no feature


@dataclass(frozen=True)
class StreamEncoder:
    """The stored encoder of one stream. The first access to `encoder` reads its weights, because most stages run no encoder."""

    params: ClipEncoderParams
    fingerprint: Fingerprint  # of the features that it makes
    path: Path  # of its weights
    sha256: str

    @cached_property
    def encoder(self) -> ClipEncoder:
        """The encoder in evaluation mode, frozen.

        Raises:
            ValueError: when the file or the digest of its weights differs from the recorded one.
        """
        _verify_file(self.path, self.sha256)
        encoder: ClipEncoder = _load_weights(self.params.build(), self.path)
        identity = {"fingerprint": compute_identity(self.params, encoder)}
        _require_equal(self.path, {"fingerprint": dict(self.fingerprint.identity)}, identity)
        return encoder


class Encoders(NamedTuple):
    """Trained encoders: the text encoder, frozen and in evaluation mode, and the stream encoders, loaded on demand."""

    streams: Mapping[str, StreamEncoder]  # empty if features come from files
    text: TextEncoder
    tokenizer: Tokenizer
    text_digest: str  # hash of the text encoder's values, weights and tokenizer


def save_encoders(
    folder: Path,
    *,
    streams: Mapping[str, ClipStart],
    text_params: TextEncoderParams,
    text: TextEncoder,
    tokenizer: Tokenizer,
) -> None:
    """Write weights, tokenizer and config. `config.json` comes last and marks the folder as complete."""
    names = [TEXT_WEIGHTS, tokenizer.file_name, *map(name_weights, streams)]
    for name, stream in streams.items():
        write_bytes(folder / name_weights(name), save(_copy_state(stream.encoder)))
    write_bytes(folder / TEXT_WEIGHTS, save(_copy_state(text)))
    tokenizer.save(folder / tokenizer.file_name)
    config = {
        "format_version": FORMAT_VERSION,
        "word_rules": WORD_RULES,
        "streams": {name: stream.params.model_dump(mode="json") for name, stream in streams.items()},
        "text_encoder": text_params.model_dump(mode="json"),
        "models": _name_models({**{name: stream.params for name, stream in streams.items()}, "text_encoder": text_params}),
        "sha256": {name: sha256_file(folder / name) for name in names},
        "fingerprints": {name: compute_identity(*stream) for name, stream in streams.items()},
        "text_digest": compute_text_digest(text_params, text, tokenizer),
    }
    write_json(folder / CONFIG, config)


def load_encoders(folder: Path) -> Encoders:
    """Read and verify a folder of `save_encoders`. The weights of a stream are verified when they are read.

    Raises:
        FileNotFoundError: when the folder holds no finished encoders.
        ValueError: naming a file or hash that differs from the recorded one, or when the encoders were made with
            other word rules, or by another version of this code.
    """
    config_path = folder / CONFIG
    if not config_path.is_file():
        raise FileNotFoundError(f"{config_path} does not exist: no trained encoders; run: dvc repro pretrain")
    config = read_json(config_path)
    _require_version(config_path, config)
    hashes: Mapping[str, str] = config["sha256"]
    streams = {name: _open_stream(folder, name, config) for name in config["streams"]}
    for name in hashes.keys() - {stream.path.name for stream in streams.values()}:
        _verify_file(folder / name, hashes[name])
    tokenizer = load_tokenizer(folder, hashes)
    text_params = TypeAdapter(TextEncoderRegistry).validate_python(config["text_encoder"])
    text = _load_weights(text_params.build(len(tokenizer)), folder / TEXT_WEIGHTS)
    digest = compute_text_digest(text_params, text, tokenizer)
    _require_equal(config_path, config, {"text_digest": digest})
    return Encoders(streams, text, tokenizer, digest)


def name_weights(stream: str) -> str:
    """Return the file name of the weights of a stream's encoder."""
    return f"{stream}.safetensors"


def require_own_features(encoders: Encoders, store: FeatureStore) -> None:
    """Refuse a store whose features were made by other encoders, or by an encoder that this folder lacks.

    Raises:
        FingerprintMismatchError: naming what differs.
    """
    for name, encoder in encoders.streams.items():
        if name not in store.streams:
            raise FingerprintMismatchError(f"{store.folder} lacks the stream {name!r} of the encoders; run: dvc repro extract")
        found = store.streams[name].fingerprint
        expected = Fingerprint(encoder.fingerprint.identity, found.environment)
        require_same_fingerprint(expected=expected, found=found, what=f"the stream {name!r} of the feature store {store.folder}")
    for name, stream in store.streams.items():
        if name not in encoders.streams and "weights" in stream.fingerprint.identity:
            raise FingerprintMismatchError(
                f"the stream {name!r} of the feature store {store.folder} was made by an encoder, "
                "but the encoders hold none of that name; run: dvc repro"
            )


def compute_identity(params: ClipEncoderParams, encoder: ClipEncoder) -> dict[str, str]:
    """Return the fingerprint identity: hashes of the sampling, of all component values (with normalisation), of the weights."""
    return {
        "sampling": sha256_json(params.sampling.model_dump(mode="json")),
        "component": sha256_json(params.model_dump(mode="json", exclude=_NOTES)),
        "weights": compute_weights_digest(encoder),
    }


def compute_text_digest(params: Params, encoder: TextEncoder, tokenizer: Tokenizer) -> str:
    """Return the hash of everything that determines the vectors of sentences."""
    return sha256_json([params.model_dump(mode="json", exclude=_NOTES), compute_weights_digest(encoder), tokenizer.digest])


def compute_weights_digest(module: nn.Module) -> str:
    """Return the hash over names, types, shapes and bytes of the weights and buffers of a module."""
    digest = hashlib.sha256()
    for name, tensor in sorted(_copy_state(module).items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()


def _copy_state(module: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().contiguous() for name, tensor in module.state_dict().items()}


def _name_models(components: Mapping[str, Params]) -> dict[str, dict[str, str | None]]:
    """Return name and revision of the published models among some components, for people."""
    published = {name: one for name, one in components.items() if isinstance(one, PublishedParams)}
    return {name: {"name": one.model_name, "revision": one.revision} for name, one in published.items()}


def _open_stream(folder: Path, name: str, config: Mapping[str, Any]) -> StreamEncoder:
    params = TypeAdapter(EncoderParams).validate_python(config["streams"][name])
    fingerprint, path = Fingerprint(config["fingerprints"][name], environment={}), folder / name_weights(name)
    return StreamEncoder(params, fingerprint, path, config["sha256"][path.name])


def _load_weights(module: Any, path: Path) -> Any:
    module.load_state_dict(load(path.read_bytes()))
    return module.eval().requires_grad_(False)


def _require_version(path: Path, config: Mapping[str, Any]) -> None:
    found = config.get("format_version")
    require_format_version(path, found, expected=FORMAT_VERSION, remedy="dvc repro --force pretrain")
    if config.get("word_rules") != WORD_RULES:
        raise ValueError(
            f"{path} has word_rules {config.get('word_rules')!r}: its text encoder learned from sentences that were split "
            f"into words by other rules than those of this code, {WORD_RULES}; run: dvc repro --force pretrain"
        )


def _verify_file(path: Path, expected: str) -> None:
    found = sha256_file(path)
    if found != expected:
        raise ValueError(f"{path} is damaged: sha256 {found}, expected {expected}; run: dvc repro --force pretrain")


def _require_equal(path: Path, config: Mapping[str, Any], found: Mapping[str, Any]) -> None:
    for key, value in found.items():
        if config[key] != value:
            raise ValueError(
                f"{path}: {key} is {config[key]}, but the loaded encoders give {value}; run: dvc repro --force pretrain"
            )
