"""The folder of a trained role: `weights.safetensors`, and `config.json` with everything needed to build and check it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter
from safetensors.torch import load, save
from torch import nn

from corpus.files import read_json, sha256_file, write_bytes, write_json
from corpus.store import Fingerprint
from models.exchange.batches import InputDims
from models.exchange.roles import Localizer, Retriever

WEIGHTS, CONFIG = "weights.safetensors", "config.json"


@dataclass(frozen=True, slots=True)
class CheckpointConfig:
    """What a trained role was built from; `component` holds its values, with `name`."""

    role: str
    component: Mapping[str, Any]
    dims: InputDims
    fingerprint: Fingerprint  # of the video features
    text_digest: str  # of the text encoder and its tokenizer
    longest_s: float  # seconds of the longest training video: a localizer reads longer ones window by window

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "role": self.role,
            "component": dict(self.component),
            "dims": asdict(self.dims),
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
            dims=InputDims(**row["dims"]),
            fingerprint=Fingerprint.from_json(row["fingerprint"]),
            text_digest=row["text_digest"],
            longest_s=row["longest_s"],
        )


def save_checkpoint(folder: Path, model: nn.Module, config: CheckpointConfig) -> None:
    """Write the weights, then the config with their checksum: with it the folder is complete."""
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
    if "longest_s" not in row:
        raise ValueError(f"{path} does not say how long the training videos were; run: dvc repro --force train@{role}")
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
