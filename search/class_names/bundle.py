"""The bundle of a zero-shot pair: a picture classifier, a sentence encoder and the names of the classes, verified before use."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import NonNegativeFloat, ValidationError
from safetensors.numpy import load

from corpus.files import read_json, require_format_version, sha256_json, write_json
from corpus.media.pictures.views import ViewSampling
from corpus.params import Params
from corpus.text import PretrainedTokenizer
from search.bundle_files import MANIFEST, BundleFile, verify_file
from search.model_name import ModelName

KIND: Final = "class_names"
FORMAT_VERSION: Final = 1
PICTURES, SENTENCES, TOKENIZER = "pictures.onnx", "sentences.onnx", PretrainedTokenizer.file_name
NAMES, NAME_VECTORS = "class_names.json", "class_names.safetensors"
FILES = (PICTURES, SENTENCES, TOKENIZER, NAMES, NAME_VECTORS)


class ClassManifest(Params):
    """Manifest of a bundle: its files, models and sampling. Equal models give equal manifests."""

    kind: Literal["class_names"] = KIND
    format_version: Literal[1] = FORMAT_VERSION
    model: ModelName
    good_for: str  # a sentence about what the models find and what they do not
    licences: Mapping[str, str]  # of each source of weights, as its publisher states it
    sampling: ViewSampling
    files: Mapping[str, BundleFile]
    parity: Mapping[str, NonNegativeFloat]  # network -> largest difference from torch, relative to the largest output

    @cached_property
    def version(self) -> str:
        """The hash of everything that decides an answer: files, sampling and name."""
        return sha256_json(self.model_dump(mode="json", exclude={"parity", "licences", "good_for"}))

    @property
    def models(self) -> dict[str, ModelName]:
        """The published model in the bundle."""
        return {"pair": self.model}

    @property
    def identity(self) -> dict[str, str]:
        """The values that must agree between the models and an index."""
        return {"model": self.model.name, "revision": self.model.revision or "", "encoding": self.encoding}

    @property
    def encoding(self) -> str:
        """The hash of everything that decides the encoding of a video. Bundles with equal hashes share encoded videos."""
        return sha256_json([self.files[PICTURES].sha256, self.sampling.model_dump(mode="json")])


@dataclass(frozen=True)
class ClassBundle:
    """A verified bundle."""

    folder: Path
    manifest: ClassManifest

    @property
    def version(self) -> str:
        """The hash that names this bundle."""
        return self.manifest.version

    @property
    def model(self) -> ModelName:
        """The name and revision of the models."""
        return self.manifest.model

    @property
    def good_for(self) -> str:
        """A sentence about what the models find and what they do not."""
        return self.manifest.good_for

    @property
    def can_encode(self) -> bool:
        """Always true: the classifier is part of the bundle."""
        return True

    def require_encoder(self) -> None:
        """Refuse nothing: the classifier is part of the bundle."""

    @property
    def encoding(self) -> str:
        """The hash of everything that decides the encoding of a video."""
        return self.manifest.encoding

    @cached_property
    def class_names(self) -> tuple[str, ...]:
        """The names of the K classes."""
        return tuple(read_json(self.folder / NAMES))

    @cached_property
    def name_vectors(self) -> NDArray[np.float32]:
        """The encoded names, (K, E) of unit length."""
        vectors: NDArray[np.float32] = load((self.folder / NAME_VECTORS).read_bytes())["vectors"]
        return vectors

    @cached_property
    def tokenizer(self) -> PretrainedTokenizer:
        """The tokenizer of the sentence encoder."""
        return PretrainedTokenizer.load(self.folder / TOKENIZER)


def save_class_manifest(manifest: ClassManifest, folder: Path) -> None:
    """Write the manifest, which completes the bundle."""
    write_json(folder / MANIFEST, {"version": manifest.version} | manifest.model_dump(mode="json"))


def load_class_bundle(folder: Path) -> ClassBundle:
    """Read a bundle and verify the version of its format and the bytes of every file.

    Raises:
        FileNotFoundError: naming a file that is missing.
        ValueError: naming a file or a value that differs from the manifest.
    """
    path = folder / MANIFEST
    content = read_json(path)
    remedy = f"cuepoint models fetch {folder.name}"
    manifest = _parse_manifest(path, content, remedy)
    if content["version"] != manifest.version:
        raise ValueError(f"{path} was changed: version {content['version']}, its content gives {manifest.version}; run: {remedy}")
    for name in FILES:
        verify_file(folder / name, manifest.files[name], remedy)
    return ClassBundle(folder, manifest)


def _parse_manifest(path: Path, content: Any, remedy: str) -> ClassManifest:
    require_format_version(path, content.get("format_version"), expected=FORMAT_VERSION, remedy=remedy)
    try:
        return ClassManifest.model_validate({key: value for key, value in content.items() if key != "version"})
    except ValidationError as error:
        first = error.errors()[0]
        raise ValueError(f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}; run: {remedy}") from error
