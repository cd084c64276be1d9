"""Quantisation of a fetched pair: makes a bundle with 8-bit towers from its 32-bit bundle, and refuses too large differences.

Weights are quantised per output channel, activations at run time (dynamic quantisation of onnxruntime).
Letters: S clips, P places, B sentences, D width.
"""

import logging
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from corpus.files import sha256_file, sha256_json
from corpus.media import ClipSampling, Images, UndecodableError, examine, iter_clips
from corpus.store import Fingerprint
from corpus.stream_names import name_encoder
from pipeline.published.presets import CLASS_NAMES
from search.bundle import Bundle, Manifest, save_manifest
from search.bundle_files import describe_file
from search.fetched_pair import INT8, PAIR
from search.indexing.folder_videos import find_videos
from search.model_name import ModelName
from search.networks import open_session

NUM_VIDEOS, CLIPS_PER_VIDEO, NUM_SENTENCES = 16, 8, 40
_SENTENCES = "imagenet.txt"
_TEXT, _OPERATORS = "text_encoder", ["MatMul", "Gemm", "Gather"]
_QUANTISED = {"DequantizeLinear", "DynamicQuantizeLinear"}


class Calibration(NamedTuple):
    """Clips and sentences for the comparison of the towers."""

    clips: Images  # (S, K, H, W, 3)
    token_ids: NDArray[np.int64]  # (B, L)


def calibrate(bundle: Bundle, videos: Path, presets: Path, *, say: Callable[[str], None]) -> Calibration:
    """Return clips of a folder of videos, and sentences, prepared for a bundle of one stream.

    Raises:
        ValueError: when the folder holds no video that can be decoded.
    """
    (sampling,) = bundle.manifest.require_samplings().values()
    assert isinstance(sampling, ClipSampling)
    clips = sample_clips([video.path for video in find_videos(videos).videos], sampling, say=say)
    return Calibration(clips, bundle.tokenizer.encode(choose_sentences(presets / CLASS_NAMES / _SENTENCES)))


def sample_clips(videos: Sequence[Path], sampling: ClipSampling, *, say: Callable[[str], None]) -> Images:
    """Return clips spread over some of the videos and over each of them, (S, K, H, W, 3).

    Raises:
        ValueError: when none of them can be decoded.
    """
    chosen = [videos[row] for row in np.unique(np.linspace(0, len(videos) - 1, NUM_VIDEOS).round().astype(int))] if videos else []
    found: list[Images] = []
    for path in chosen:
        try:
            duration_s = examine(path).duration_s
            sparse = sampling.model_copy(update={"clip_rate_hz": min(sampling.clip_rate_hz, CLIPS_PER_VIDEO / duration_s)})
            found += iter_clips(path, sparse, duration_s=duration_s)
        except UndecodableError as error:
            say(f"left out of the calibration: {error}")
    if not found:
        raise ValueError("no video of the calibration can be decoded; name another folder of videos with --calibrate FOLDER")
    return np.concatenate(found)


def choose_sentences(class_names: Path) -> list[str]:
    """Return sentences about some of the named classes."""
    names = class_names.read_text(encoding="utf-8").splitlines()
    return [f"a photo of a {names[row]}" for row in np.linspace(0, len(names) - 1, NUM_SENTENCES).round().astype(int)]


def write_int8_bundle(bundle: Bundle, folder: Path, calibration: Calibration, *, min_cosine: float) -> Manifest:
    """Write the bundle with quantised towers; the manifest comes last and completes it.

    Raises:
        ValueError: naming a tower and its smallest cosine, when that is below `min_cosine`.
    """
    folder.mkdir(parents=True)
    (stream,) = bundle.manifest.streams
    inputs: dict[str, dict[str, NDArray[Any]]] = {
        name_encoder(stream): {"clips": calibration.clips},
        _TEXT: {"token_ids": calibration.token_ids},
    }
    cosines = {}
    for tower, values in inputs.items():
        source, target = bundle.network_path(tower), folder / f"{tower}.onnx"
        quantise(source, target)
        cosines[tower] = compare(source, target, values)
        if not cosines[tower] >= min_cosine:
            raise ValueError(
                f"{bundle.model} loses too much with int8: vectors of its {tower} have a cosine of {cosines[tower]:.4f}, at "
                f"least {min_cosine} is needed; use the 32-bit model, without --int8"
            )
    for name in bundle.manifest.files:
        if not (folder / name).exists():
            shutil.copyfile(bundle.folder / name, folder / name)
    manifest = _describe(bundle.manifest, folder, cosines, stream)
    save_manifest(manifest, folder)
    return manifest


def quantise(source: Path, target: Path) -> None:
    """Write a network with 8-bit weights in its products of matrices and its tables of tokens.

    `reduce_range` keeps sums within 16 bits, so processors without VNNI give the same vectors.

    Raises:
        ValueError: when the network has no weights that can be quantised.
    """
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    model = onnx.load(source)
    model.graph.ClearField("value_info")  # the quantiser compares transposed weights with the shapes that the exporter recorded
    with _quiet():
        quantize_dynamic(
            model, target, op_types_to_quantize=_OPERATORS, per_channel=True, reduce_range=True, weight_type=QuantType.QInt8
        )
    operators = {node.op_type for node in onnx.load(target, load_external_data=False).graph.node}
    if not operators & _QUANTISED:
        raise ValueError(
            f"{source} has no 32-bit weights in matrix products or tables, so int8 changes nothing; leave out --int8"
        )


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the quantiser, which logs inapplicable advice through the root logger."""
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)
    try:
        yield
    finally:
        root.setLevel(level)


def compare(source: Path, target: Path, inputs: dict[str, NDArray[Any]]) -> float:
    """Return the smallest cosine between the vectors of two networks, row by row."""
    one, two = (np.concatenate(list(_run(path, inputs))) for path in (source, target))  # (rows, D) each
    norms = np.linalg.norm(one, axis=1) * np.linalg.norm(two, axis=1)
    return float(((one * two).sum(1) / np.maximum(norms, np.finfo(np.float64).tiny)).min())


def _run(path: Path, inputs: dict[str, NDArray[Any]]) -> Iterator[NDArray[np.float64]]:
    """Yield the vectors of each row, (rows, D). Rows run one at a time, so memory stays small."""
    session = open_session(path, num_threads=2)
    output = session.get_outputs()[-1].name  # features of an encoder of clips, pooled of one of sentences
    ((name, values),) = inputs.items()
    for row in range(len(values)):
        (found,) = session.run([output], {name: values[row : row + 1]})
        yield found.reshape(-1, found.shape[-1]).astype(np.float64)


def _describe(manifest: Manifest, folder: Path, cosines: dict[str, float], stream: str) -> Manifest:
    assert manifest.fetched is not None
    tower = name_encoder(stream)
    made, fetched = manifest.streams[stream], manifest.fetched
    identity = {**made.fingerprint.identity, "weights": sha256_file(folder / f"{tower}.onnx")}
    fingerprint = Fingerprint(identity, made.fingerprint.environment)
    model = ModelName(name=f"{manifest.model.name}{INT8}", revision=manifest.model.revision)
    changed = {
        "streams": {stream: made.model_copy(update={"fingerprint": fingerprint})},
        "text_digest": sha256_json([manifest.text_digest, sha256_file(folder / f"{_TEXT}.onnx")]),
        "files": {name: describe_file(folder / name) for name in manifest.files},
        "parity": {name: value for name, value in manifest.parity.items() if name not in cosines},
        "fetched": fetched.model_copy(update={"int8_cosines": cosines}),
        "models": {PAIR: model},
    }
    return Manifest(**{name: getattr(manifest, name) for name in Manifest.model_fields} | changed)
