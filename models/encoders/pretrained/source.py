"""Source of a published network: a local folder, or one revision of a repository on the Hugging Face hub."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from pydantic import Field

from corpus.params import Params
from corpus.text import PretrainedTokenizer
from models.encoders.pretrained.hashes import FileHashes, hash_weights
from models.encoders.pretrained.licence import read_licence, require_consent, require_stated

CONFIG, WEIGHTS, PICTURES, TOKENIZER = "config.json", "*.safetensors", "preprocessor_config.json", PretrainedTokenizer.file_name
_PARTS = ["*.safetensors.index.json", "modules.json", "*/config.json", "tokenizer_config.json", "README.md", "LICENSE*"]

_COMMIT = re.compile(r"[0-9a-f]{40}")

Architecture = Mapping[str, Any]


class SourceParams(Params):
    """Source of the files of a published model. Hashes and licence that a preset states are compared with the source."""

    source: str = Field(min_length=1)  # a folder; with `revision` and no `repository`, a repository of the hub
    repository: str | None = Field(default=None, pattern=r"^[\w.-]+/[\w.-]+$")  # of the hub: owner/name
    revision: str | None = Field(default=None, pattern=r"^[0-9a-f]{40}$")  # the commit of the repository, in full
    weights_sha256: FileHashes | None = None  # of every file of weights
    licence: str | None = None  # of the source, by its README or LICENSE
    accept_licence: bool = False  # consent to a licence that forbids commercial use

    @property
    def model_name(self) -> str:
        """The name by which people know the model: its repository, otherwise its source."""
        return self.repository or self.source

    def find_source(self, *, needs: Sequence[str], config: str = CONFIG, weights: str = WEIGHTS) -> Path:
        """Return the folder with configuration, weights and the files in `needs`, fetched from the hub with a revision.

        Raises:
            FileNotFoundError: when there is no such folder, it lacks one of the files, or the hub does not answer.
            ValueError: when the stated licence forbids commercial use, and the preset does not accept it.
        """
        needed = (config, *needs, weights)
        folder = self.find_folder(needed)
        for pattern in needed:
            if not any(folder.glob(pattern)):
                raise FileNotFoundError(f"{folder} has no {pattern}{_explain(folder, pattern)}")
        return folder

    def find_folder(self, needed: Sequence[str]) -> Path:
        """Return the folder of the source. If there is none but a revision, fetch the files of these patterns from the hub.

        Raises:
            FileNotFoundError: when there is no such folder, or the hub does not answer.
            ValueError: when the stated licence forbids commercial use, and the preset does not accept it.
        """
        require_consent(self.licence, accepted=self.accept_licence, source=self.model_name)
        folder, is_given = Path(self.source), self.repository is not None and Path(self.source).is_dir()
        if self.revision is not None and not is_given:
            folder = _fetch(self.model_name, self.revision, needed)
        if not folder.is_dir():
            raise FileNotFoundError(
                f"the folder {folder} of a pretrained network does not exist; {self._explain_missing(needed)}"
            )
        return folder

    def describe(self, folder: Path, weights: Sequence[Path], *, stated: FileHashes | None) -> dict[str, Any]:
        """Return the recorded values of a source by name: hashes of its weights, licence and revision.

        Raises:
            ValueError: when the preset states something else, or does not accept a licence that forbids commercial use.
        """
        found = read_licence(folder)
        require_stated(found, stated=self.licence, source=self.model_name)
        require_consent(found or self.licence, accepted=self.accept_licence, source=self.model_name)
        hashes, revision = hash_weights(weights, stated=stated), read_revision(folder)
        if None not in (revision, self.revision) and revision != self.revision:
            raise ValueError(
                f"{folder} holds the revision {revision}, but the preset states {self.revision}; get it again, "
                "or correct the preset"
            )
        return {"weights_sha256": hashes, "licence": found or self.licence, "revision": revision}

    def _explain_missing(self, needed: Sequence[str]) -> str:
        if self.repository is None:
            return f"copy {', '.join(needed)} of the model into it, or name a repository of the hub with its revision"
        includes = " ".join(f"'{pattern}'" for pattern in (*needed, "README.md"))
        return f"on a machine with the hub, run: hf download {self.repository} --local-dir {self.source} --include {includes}"


class NetworkParams(SourceParams):
    """A network of a published model, and its values recorded from the source."""

    architecture: Architecture | None = None  # of the network

    def require_architecture(self) -> dict[str, Any]:
        """Return the architecture.

        Raises:
            ValueError: when it has not been read from the source yet.
        """
        if self.architecture is None:
            raise ValueError(f"{self.source}: the architecture is unknown before pretraining; run: dvc repro pretrain")
        return dict(self.architecture)

    def record(self, folder: Path, architecture: Architecture, weights: Sequence[Path] | None = None) -> Self:
        """Return these values with the architecture and the values that `describe` records.

        Raises:
            ValueError: when the preset states something else, or does not accept a licence that forbids commercial use.
        """
        weights = sorted(folder.glob(WEIGHTS)) if weights is None else weights
        found = self.describe(folder, weights, stated=self.weights_sha256)
        return self.model_copy(update={"architecture": architecture, **found})


def read_revision(folder: Path) -> str | None:
    """Return the hub's commit of a folder, from the folder names and notes of the hub's client."""
    if folder.parent.name == "snapshots" and _COMMIT.fullmatch(folder.name):
        return folder.name
    notes = sorted((folder / ".cache" / "huggingface" / "download").rglob("*.metadata"))
    commits = {path.read_text(encoding="utf-8", errors="replace").split("\n", 1)[0].strip() for path in notes}
    return commits.pop() if len(commits) == 1 and all(map(_COMMIT.fullmatch, commits)) else None


def _fetch(repository: str, revision: str, needed: Sequence[str]) -> Path:
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(repository, revision=revision, allow_patterns=[*needed, *_PARTS]))
    except (OSError, ValueError) as error:  # no network, unknown repository or revision, invalid name
        raise FileNotFoundError(
            f"cannot fetch {repository} at {revision} from the hub: {str(error).splitlines()[0]}; if the hub is out of reach, "
            "copy the files of the model into a folder and name it as source, without a revision"
        ) from error


def _explain(folder: Path, pattern: str) -> str:
    pickles = sorted(path.name for path in folder.glob("*.bin"))
    if pattern.endswith(".safetensors") and pickles:
        return f" but {pickles[0]}, a pickle, which can run code and is refused; take a revision with safetensors or convert it"
    if pattern == TOKENIZER:
        return "; older models lack it: AutoTokenizer.from_pretrained(folder).save_pretrained(folder) writes it"
    return "; copy it from where the model is published"
