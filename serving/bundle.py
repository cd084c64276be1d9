"""The bundle: everything a search needs of the models, as ONNX and JSON, verified before it is used."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, ValidationError

from corpus.files import read_json, sha256_file, sha256_json, write_json
from corpus.media import ClipSampling
from corpus.params import Params
from corpus.store import Fingerprint
from corpus.text import Tokenizer, load_tokenizer
from corpus.windows import Window, WindowRule, cut_video
from serving.calibration import Calibrations
from serving.search import SearchSettings

FORMAT_VERSION: Final = 3
MANIFEST = "manifest.json"
VIDEO_ENCODER = "video_encoder"
NETWORKS = (VIDEO_ENCODER, "text_encoder", "retriever_clips", "retriever_queries", "localizer")


class BundleFile(Params):
    """One file of the bundle as it was written."""

    sha256: str
    size_bytes: PositiveInt


class BundleDims(Params):
    """Widths of what the networks exchange."""

    feature_dim: PositiveInt
    num_places: PositiveInt
    text_dim: PositiveInt
    embedding_dim: PositiveInt


class Manifest(Params):
    """What the files of a bundle are and belong to. Equal models give equal manifests."""

    format_version: Literal[3] = 3
    sampling: ClipSampling | None  # None where the bundle has no video encoder: its features came from files
    fingerprint: Fingerprint  # of the features that `video_encoder` makes and the other networks read
    text_digest: str  # of the text encoder and its tokenizer
    search: SearchSettings
    num_cells: PositiveInt  # of the localizer's time axis
    window_s: PositiveFloat  # the localizer reads longer videos window by window
    window_overlap: float = Field(ge=0, lt=1)  # share of a window that the next one repeats, at least
    calibration: Calibrations
    dims: BundleDims
    files: Mapping[str, BundleFile]
    components: Mapping[str, Mapping[str, Any]]  # role -> the component's values
    parity: Mapping[str, NonNegativeFloat]  # network -> largest difference from torch, relative to the largest output

    @cached_property
    def version(self) -> str:
        """The hash of all that decides an answer: files, settings and fingerprint."""
        return sha256_json(self.model_dump(mode="json", exclude={"parity"}))

    def cut(self, num_clips: int, duration_s: float) -> tuple[Window, ...]:
        """Return the windows in which a video is read."""
        clip_rate_hz = self.sampling.clip_rate_hz if self.sampling else None
        return cut_video(num_clips, duration_s, WindowRule(self.window_s, self.window_overlap), clip_rate_hz=clip_rate_hz)

    def require_sampling(self) -> ClipSampling:
        """Return how videos are sampled to be encoded.

        Raises:
            ValueError: when the bundle cannot encode videos.
        """
        if self.sampling is None:
            raise ValueError(
                "this bundle has no video encoder: its models read features that came from files; "
                "it searches the videos it was built with and cannot encode new ones"
            )
        return self.sampling


def describe_files(folder: Path, *, has_video_encoder: bool, tokenizer: Tokenizer) -> dict[str, BundleFile]:
    """Return the networks of a bundle, with or without a video encoder, and the file of its tokenizer, with their hashes."""
    networks = [name for name in NETWORKS if name != VIDEO_ENCODER or has_video_encoder]
    names = [f"{name}.onnx" for name in networks] + [tokenizer.file_name]
    return {
        name: BundleFile(sha256=sha256_file(folder / name), size_bytes=(folder / name).stat().st_size) for name in sorted(names)
    }


def save_manifest(manifest: Manifest, folder: Path) -> None:
    """Write the manifest: with it, the bundle is complete."""
    write_json(folder / MANIFEST, {"version": manifest.version} | manifest.model_dump(mode="json"))


@dataclass(frozen=True)
class Bundle:
    """A verified bundle."""

    folder: Path
    manifest: Manifest

    @property
    def version(self) -> str:
        """The hash that names this bundle."""
        return self.manifest.version

    def network_path(self, name: str) -> Path:
        """Return the ONNX file of a network, one of `NETWORKS`."""
        return self.folder / f"{name}.onnx"

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """What turns sentences into the ids of the text encoder."""
        return load_tokenizer(self.folder, self.manifest.files)


def load_bundle(folder: Path) -> Bundle:
    """Read a bundle and verify the version of its format and the bytes of every file.

    Raises:
        FileNotFoundError: when there is no finished bundle, or naming a file that is missing.
        ValueError: naming a file whose bytes, or a value that, is not what the manifest says.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist: no finished bundle; run: make repro")
    content = read_json(path)
    manifest = _parse_manifest(path, content)
    if content["version"] != manifest.version:
        raise ValueError(f"{path} was changed: version {content['version']}, its content gives {manifest.version}")
    for name, file in manifest.files.items():
        _verify_file(folder / name, file)
    return Bundle(folder, manifest)


def _parse_manifest(path: Path, content: Any) -> Manifest:
    found = content.get("format_version") if isinstance(content, dict) else None
    if found != FORMAT_VERSION:
        raise ValueError(f"{path} has format_version {found!r}, this code reads {FORMAT_VERSION}; run: dvc repro --force export")
    try:
        return Manifest.model_validate({key: value for key, value in content.items() if key != "version"})
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise ValueError(f"{path}: {key}: {first['msg']}; run: dvc repro --force export") from error


def _verify_file(path: Path, expected: BundleFile) -> None:
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing from the bundle; run: dvc repro --force export")
    found = sha256_file(path)
    if found != expected.sha256:
        raise ValueError(f"{path} is damaged: sha256 {found}, expected {expected.sha256}; run: dvc repro --force export")
