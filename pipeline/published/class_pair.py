"""Conversion of a zero-shot pair from published weights to a bundle of ONNX and safetensors files, without pickles."""

import pickle
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import load, save
from torch import Tensor, nn

from corpus.files import write_bytes, write_json
from corpus.media.pictures.views import ViewSampling
from corpus.text import Tokenizer
from models.artefacts.exporting.networks import OnnxNetwork
from models.contracts.roles import TextEncoder
from models.encoders.pretrained.efficientnet_lite import EfficientNetLite0, ViewClassifier, load_published
from models.encoders.text.sentence_transformer import SentenceTransformerParams
from pipeline.published.fetching import Unpacked
from pipeline.published.pair_files import CASE_SENTENCES, FOLDER, Cases, Check, export, write_pictures, write_sentences
from search.bundle_files import describe_file
from search.class_names.bundle import (
    FILES,
    NAME_VECTORS,
    NAMES,
    PICTURES,
    SENTENCES,
    TOKENIZER,
    ClassManifest,
    save_class_manifest,
)
from search.class_names.networks import ClassNetworks
from search.model_name import ModelName

MAX_DIFFERENCE = 5e-6  # between an exported network and torch, relative to the largest value
_CASE_FRAMES = (1, 3)


class Sentences(NamedTuple):
    """A sentence encoder with its tokenizer."""

    tokenizer: Tokenizer
    encoder: TextEncoder  # gives sentences of unit length


class ClassPair(NamedTuple):
    """A picture classifier and a sentence encoder, joined by the names of K classes."""

    model: ModelName
    classifier: EfficientNetLite0
    sentences: Sentences
    class_names: tuple[str, ...]  # (K,)
    sampling: ViewSampling
    good_for: str  # a sentence about what the pair finds and what it does not
    licences: Mapping[str, str]  # of each source of weights


def load_pair(files: Unpacked) -> ClassPair:
    """Load the pair from the files of its packages.

    Raises:
        FileNotFoundError: when a file is missing.
        ValueError: naming a file that does not fit.
    """
    preset = files.preset
    return ClassPair(
        ModelName(name=files.name, revision=files.revision),
        load_classifier(files.pictures),
        load_sentences(files.sentences),
        read_class_names(files.class_names),
        preset.sampling,
        preset.good_for,
        files.licences,
    )


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read a published file of weights. Only tensors are loaded.

    Raises:
        ValueError: naming the file, when it holds other objects.
    """
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise ValueError(f"{path} is damaged or holds more than tensors: {str(error).splitlines()[0]}; fetch it again") from error
    if not isinstance(found, dict) or not all(isinstance(weight, Tensor) for weight in found.values()):
        raise ValueError(f"{path} holds more than named tensors; fetch it again")
    return dict(found)


def load_classifier(path: Path) -> EfficientNetLite0:
    """Return the picture classifier with the weights of a file.

    Raises:
        ValueError: naming the file and what does not fit.
    """
    try:
        return load_published(read_tensors(path))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def load_sentences(folder: Path) -> Sentences:
    """Return the sentence encoder of a folder with the files of a published model.

    Raises:
        FileNotFoundError: when the folder lacks a file.
        ValueError: when the weights do not fit.
    """
    start = SentenceTransformerParams(name="sentence_transformer", source=str(folder)).start([])
    return Sentences(start.tokenizer, start.encoder)


def read_class_names(path: Path) -> tuple[str, ...]:
    """Read the names of classes, one a line, in the order of the classifier's outputs.

    Raises:
        ValueError: naming the file and a line that is empty or repeats a name.
    """
    names = path.read_text(encoding="utf-8").splitlines()
    for number, name in enumerate(names, start=1):
        if not name.strip() or name in names[: number - 1]:
            raise ValueError(f"{path} line {number}: {name!r} is empty or repeats an earlier class; give each class its name")
    return tuple(names)


def write_bundle(pair: ClassPair, folder: Path, *, check: Check) -> ClassManifest:
    """Export a pair into a folder; the manifest comes last and completes the bundle.

    Raises:
        ValueError: when a network differs from torch too much, or the numbers of names and classes differ.
    """
    num_classes = pair.classifier.classifier.out_features
    if len(pair.class_names) != num_classes:
        raise ValueError(f"got {len(pair.class_names)} class names for {num_classes} classes; give each class one name")
    parity = {}
    for file_name, network, cases in _list_trials(pair):
        parity[network.name] = export(network, folder / file_name, cases, check)
    pair.sentences.tokenizer.save(folder / TOKENIZER)
    write_json(folder / NAMES, list(pair.class_names))
    write_bytes(folder / NAME_VECTORS, save({"vectors": _encode_names(pair, folder)}))
    files = {name: describe_file(folder / name) for name in FILES}
    manifest = ClassManifest(
        model=pair.model, good_for=pair.good_for, licences=dict(pair.licences), sampling=pair.sampling, files=files, parity=parity
    )
    save_class_manifest(manifest, folder)
    return manifest


def write_pair(pair: ClassPair, folder: Path, *, check: Check) -> None:
    """Write the files by which the pipeline reads the pair like any other pair. A search does not read them.

    Raises:
        ValueError: when a network differs from torch too much.
    """
    write_pictures(pair.classifier, pair.sampling, folder / FOLDER, check=check)
    names, ids = load((folder / NAME_VECTORS).read_bytes())["vectors"], pair.sentences.tokenizer.encode(CASE_SENTENCES)
    write_sentences(pair.sentences.encoder, names, ids, folder / FOLDER, check=check)
    pair.sentences.tokenizer.save(folder / FOLDER / TOKENIZER)


def _list_trials(pair: ClassPair) -> Iterator[tuple[str, OnnxNetwork, Cases]]:
    """Yield each network with its file and test cases; the last case is the largest."""
    size_px, generator = pair.sampling.size_px, torch.Generator().manual_seed(0)
    shape = (len(pair.sampling.views), size_px, size_px, 3)
    pictures = [
        {"views": torch.randint(0, 256, (count, *shape), dtype=torch.uint8, generator=generator)} for count in _CASE_FRAMES
    ]
    yield (
        PICTURES,
        OnnxNetwork("pictures", ViewClassifier(pair.classifier), {"views": ("frames",)}, ("logits", "features")),
        pictures,
    )
    ids = [pair.sentences.tokenizer.encode(batch) for batch in (CASE_SENTENCES[:1], CASE_SENTENCES)]
    network = OnnxNetwork("sentences", _SentenceNetwork(pair.sentences.encoder), {"token_ids": ("batch", "words")}, ("vectors",))
    yield SENTENCES, network, [{"token_ids": torch.from_numpy(one)} for one in ids]


def _encode_names(pair: ClassPair, folder: Path) -> NDArray[np.float32]:
    """Return the vectors of the class names by the exported network, computed like those of sentences in a search: (K, E)."""
    networks = ClassNetworks(folder, num_threads=1)
    one_by_one = [networks.encode_sentences(pair.sentences.tokenizer.encode([name])) for name in pair.class_names]
    return np.concatenate(one_by_one)


class _SentenceNetwork(nn.Module):
    """The vector of the sentence alone, without its tokens."""

    def __init__(self, encoder: TextEncoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, token_ids: Tensor) -> tuple[Tensor]:
        return (self.encoder(token_ids).pooled,)
