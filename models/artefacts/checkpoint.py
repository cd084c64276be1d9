"""Checkpoint folder of a trained role: `weights.safetensors`, and `config.json` with the values to build and verify the model."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import TypeAdapter
from safetensors.torch import load, save
from torch import nn

from corpus.files import read_json, require_format_version, sha256_file, write_bytes, write_json
from corpus.store import Fingerprint
from models.contracts.batches import InputDims
from models.contracts.roles import Localizer, Retriever

FORMAT_VERSION: Final = 2  # 1 had one stream of features without a name
WEIGHTS, CONFIG = "weights.safetensors", "config.json"


@dataclass(frozen=True, slots=True)
class CheckpointConfig:
    """The configuration of a trained role. `component` holds its values, with `name` and the `streams` that it reads."""

    role: str
    component: Mapping[str, Any]
    dims: InputDims
    fingerprint: Fingerprint  # of the streams that it reads
    text_digest: str  # of the text encoder and its tokenizer
    longest_s: float  # length of the longest training video; a localizer reads longer videos window by window

    @property
    def streams(self) -> tuple[str, ...]:
        """The streams that the role reads, in the order in which it joins them."""
        return tuple(self.component["streams"])

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "format_version": FORMAT_VERSION,
            "role": self.role,
            "component": dict(self.component),
            "dims": self.dims.to_json(),
            "fingerprint": self.fingerprint.to_json(),
            "text_digest": self.text_digest,
            "longest_s": self.longest_s,
        }

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> "CheckpointConfig":
        """Build a config from its JSON form."""
        return cls(
            role=row["role"],
            component=row["component"],
            dims=InputDims.from_json(row["dims"]),
            fingerprint=Fingerprint.from_json(row["fingerprint"]),
            text_digest=row["text_digest"],
            longest_s=row["longest_s"],
        )


def save_checkpoint(folder: Path, model: nn.Module, config: CheckpointConfig) -> None:
    """Write the weights, then the config with their checksum. The config marks the folder as complete."""
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    write_bytes(folder / WEIGHTS, save(state))
    write_json(folder / CONFIG, config.to_json() | {"weights_sha256": sha256_file(folder / WEIGHTS)})


def load_retriever(folder: Path) -> tuple[Retriever, CheckpointConfig]:
    """Return the trained retriever of a folder, in evaluation mode and frozen."""
    from models.retrievers import RetrieverParams

    return _load(folder, RetrieverParams, role="retriever")


def load_localizer(folder: Path) -> tuple[Localizer, CheckpointConfig]:
    """Return the trained localizer of a folder, in evaluation mode and frozen."""
    from models.localizers import LocalizerParams

    return _load(folder, LocalizerParams, role="localizer")


def load_blind(folder: Path) -> tuple[Localizer, CheckpointConfig]:
    """Return the trained text-only floor of a folder, in evaluation mode and frozen."""
    from models.blinds import BlindParams

    return _load(folder, BlindParams, role="blind")


def _load(folder: Path, registry: Any, *, role: str) -> tuple[Any, CheckpointConfig]:
    path = folder / CONFIG
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist: no trained {role}; run: dvc repro train@{role}")
    row = read_json(path)
    found, remedy = row.get("format_version"), f"dvc repro --force train@{role}"
    require_format_version(path, found, expected=FORMAT_VERSION, remedy=remedy)
    config = CheckpointConfig.from_json(row)
    if config.role != role:
        raise ValueError(f"{path} holds a {config.role}, expected a {role}")
    found = sha256_file(folder / WEIGHTS)
    if found != row["weights_sha256"]:
        raise ValueError(
            f"{folder / WEIGHTS} is damaged: sha256 {found}, expected {row['weights_sha256']}; "
            f"run: dvc repro --force train@{role}"
        )
    model = TypeAdapter(registry).validate_python(dict(config.component)).build(config.dims)
    model.load_state_dict(load((folder / WEIGHTS).read_bytes()))
    return model.eval().requires_grad_(False), config
