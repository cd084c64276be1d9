"""The bundle: everything a search needs of the models, as ONNX and JSON, verified before it is used."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Final, Literal, Self

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, ValidationError, model_validator

from corpus.alignment import match_window
from corpus.files import read_json, require_format_version, sha256_json, write_json
from corpus.media import StreamSampling
from corpus.moments import compute_clip_rate
from corpus.params import Params
from corpus.store import Fingerprint, combine_fingerprints
from corpus.stream_names import StreamName, StreamNames, name_encoder
from corpus.text import WORD_RULES, Tokenizer, load_tokenizer
from corpus.windows import CellTable, Window, WindowRule, cut_video, share_cells
from search.bundle_files import MANIFEST, BundleFile, describe_file, verify_file
from search.calibration import Calibrations
from search.fetched_pair import FetchedPair, find_remedy
from search.model_name import ModelName
from search.params import SearchParams

FORMAT_VERSION: Final = 6  # 5 had a calibration that did not say how well it tells what is there
MODEL_NETWORKS = ("text_encoder", "retriever_clips", "retriever_queries", "localizer")


class BundleStreamDims(Params):
    """Places P of a clip and width D of one stream."""

    num_places: PositiveInt
    dim: PositiveInt


class BundleStream(Params):
    """A stream of features that the models read."""

    sampling: StreamSampling | None  # None if the bundle has no encoder of the stream: its features came from files
    fingerprint: Fingerprint  # of the features
    clip_rate_hz: PositiveFloat | None  # None: the clips of each video span it evenly
    dims: BundleStreamDims


class BundleDims(Params):
    """Widths of what the networks exchange beside the streams."""

    text_dim: PositiveInt
    embedding_dim: PositiveInt


class Manifest(Params):
    """Contents and origin of a bundle. Equal models give equal manifests."""

    format_version: Literal[6] = FORMAT_VERSION
    streams: Mapping[StreamName, BundleStream]  # streams that the retriever or the localizer reads
    retriever_streams: StreamNames  # the index finds clips of the first one
    localizer_streams: StreamNames
    word_rules: int = WORD_RULES  # version of the rules that split sentences into words
    text_digest: str  # of the text encoder and its tokenizer
    search: SearchParams
    num_cells: PositiveInt  # of the localizer's time axis
    window_s: PositiveFloat  # the localizer reads longer videos window by window
    window_overlap: float = Field(ge=0, lt=1)  # least share of a window that the next one repeats
    calibration: Calibrations
    dims: BundleDims
    files: Mapping[str, BundleFile]
    components: Mapping[str, Mapping[str, Any]]  # role, or encoder of a stream -> the component's values
    models: Mapping[str, ModelName] = {}  # stream, or text_encoder -> what its encoder was before training; pair: fetched
    parity: Mapping[str, NonNegativeFloat]  # network -> largest difference from torch, relative to the largest output
    fetched: FetchedPair | None = None  # a published pair that was not trained here

    @model_validator(mode="after")
    def _require_streams_that_are_read(self) -> Self:
        read = {*self.retriever_streams, *self.localizer_streams}
        if read != set(self.streams):
            raise ValueError(f"streams are {', '.join(sorted(self.streams))}, but the models read {', '.join(sorted(read))}")
        return self

    @cached_property
    def version(self) -> str:
        """The hash of everything that decides an answer: files, settings and fingerprints."""
        content = self.model_dump(mode="json", exclude={"models", "parity", "fetched"})
        return sha256_json(content | ({"pair": self.model.model_dump()} if self.fetched else {}))

    @property
    def fingerprint(self) -> Fingerprint:
        """The fingerprint of all streams together."""
        return combine_fingerprints({name: stream.fingerprint for name, stream in self.streams.items()})

    @property
    def model(self) -> ModelName:
        """The published models that the encoders were, otherwise the components that encode and localize, with the version."""
        published = list(dict.fromkeys(model for _, model in sorted(self.models.items())))
        if published:
            revisions = ", ".join(model.revision for model in published if model.revision)
            return ModelName(name=", ".join(dict.fromkeys(model.name for model in published)), revision=revisions or None)
        roles = [*(name_encoder(name) for name in sorted(self.streams)), "text_encoder", "localizer"]
        names = dict.fromkeys(str(self.components[role]["name"]) for role in roles if role in self.components)
        return ModelName(name=", ".join(names) or "bundle", revision=self.version[:12])

    def fingerprint_in(self, environment: Mapping[str, str]) -> Fingerprint:
        """Return the fingerprint of all streams as encoded in another environment."""
        streams = {name: Fingerprint(stream.fingerprint.identity, environment) for name, stream in self.streams.items()}
        return combine_fingerprints(streams)

    @property
    def grid(self) -> str:
        """The stream whose clips the index finds."""
        return self.retriever_streams[0]

    @property
    def can_encode(self) -> bool:
        """Tell whether the bundle has an encoder of every stream."""
        return all(stream.sampling for stream in self.streams.values())

    @property
    def encoding(self) -> str:
        """The hash of everything that decides the encoding of a video. Bundles with equal hashes share encoded videos.

        Raises:
            ValueError: when the bundle cannot encode videos.
        """
        samplings = {name: sampling.model_dump(mode="json") for name, sampling in self.require_samplings().items()}
        networks = {name: self.files[f"{name}.onnx"].sha256 for name in (*map(name_encoder, samplings), "retriever_clips")}
        roles = [self.retriever_streams, self.localizer_streams]
        return sha256_json([networks, samplings, roles, self.num_cells, self.window_s, self.window_overlap])

    def cut(self, num_clips: Mapping[str, int], duration_s: float) -> tuple[Window, ...]:
        """Return the windows of a video for the localizer, in clips of its first stream."""
        first, rule = self.localizer_streams[0], WindowRule(self.window_s, self.window_overlap)
        return cut_video(num_clips[first], duration_s, rule, clip_rate_hz=self.streams[first].clip_rate_hz)

    def match_windows(self, windows: Iterable[Window], stream: str, *, num_clips: int, duration_s: float) -> tuple[Window, ...]:
        """Return the same windows in clips of another stream."""
        match = partial(match_window, num_clips=num_clips, duration_s=duration_s, clip_rate_hz=self.streams[stream].clip_rate_hz)
        return tuple(map(match, windows))

    def share_cells(self, windows: Iterable[Window], num_clips: Mapping[str, int], duration_s: float) -> dict[str, CellTable]:
        """Return the localizer's cells that make up each window of a video, by stream.

        `num_clips` counts the clips of each stream that the localizer reads.
        """
        kept = tuple(windows)
        matched = {
            name: self.match_windows(kept, name, num_clips=num_clips[name], duration_s=duration_s)
            for name in self.localizer_streams
        }
        return {name: share_cells(own, self.num_cells) for name, own in matched.items()}

    def find_clip_rate(self, num_clips: int, duration_s: float) -> float:
        """Return the grid's clips per second in a video with `num_clips` clips."""
        return compute_clip_rate(self.streams[self.grid].clip_rate_hz, num_clips=num_clips, duration_s=duration_s)

    def require_samplings(self) -> dict[str, StreamSampling]:
        """Return how each stream samples videos for encoding.

        Raises:
            ValueError: naming the streams that the bundle cannot encode.
        """
        missing = [name for name, stream in self.streams.items() if stream.sampling is None]
        if missing:
            raise ValueError(
                f"this bundle lacks the encoder of {', '.join(map(repr, missing))}: "
                "its models read features that came from files; "
                "it searches the videos it was built with and cannot encode new ones"
            )
        return {name: stream.sampling for name, stream in self.streams.items() if stream.sampling}


def describe_files(folder: Path, *, encoded: Sequence[str], tokenizer: Tokenizer) -> dict[str, BundleFile]:
    """Return hash and size of the network files, with the encoders of the `encoded` streams, and of the tokenizer file."""
    networks = [*map(name_encoder, encoded), *MODEL_NETWORKS]
    names = [f"{name}.onnx" for name in networks] + [tokenizer.file_name]
    return {name: describe_file(folder / name) for name in sorted(names)}


def save_manifest(manifest: Manifest, folder: Path) -> None:
    """Write the manifest, which completes the bundle."""
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

    @property
    def model(self) -> ModelName:
        """The name and revision of the models."""
        return self.manifest.model

    @property
    def good_for(self) -> str:
        """A sentence about a fetched pair; empty for models that were trained here, which find what they were trained on."""
        return self.manifest.fetched.good_for if self.manifest.fetched else ""

    @property
    def can_encode(self) -> bool:
        """Tell whether the bundle has an encoder of every stream."""
        return self.manifest.can_encode

    @property
    def encoding(self) -> str:
        """The hash of everything that decides the encoding of a video."""
        return self.manifest.encoding

    def require_encoder(self) -> None:
        """Refuse a bundle that cannot encode videos.

        Raises:
            ValueError: naming the streams whose encoders it lacks.
        """
        self.manifest.require_samplings()

    def network_path(self, name: str) -> Path:
        """Return the ONNX file of a network: one of `MODEL_NETWORKS`, or the encoder of a stream."""
        return self.folder / f"{name}.onnx"

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer of the text encoder."""
        return load_tokenizer(self.folder, self.manifest.files)


def load_bundle(folder: Path) -> Bundle:
    """Read a bundle, and verify its format version and the bytes of every file.

    Raises:
        FileNotFoundError: when there is no finished bundle, or naming a file that is missing.
        ValueError: naming a damaged file, or a wrong value of the manifest.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} does not exist: no finished bundle; run: make repro, or name the folder of a bundle with --bundle; "
            "to search videos of your own without a training, run: cuepoint models fetch real"
        )
    content = read_json(path)
    remedy = find_remedy(content, "dvc repro --force export")
    manifest = _parse_manifest(path, content, remedy)
    if content["version"] != manifest.version:
        raise ValueError(f"{path} was changed: version {content['version']}, its content gives {manifest.version}; run: {remedy}")
    for name, file in manifest.files.items():
        verify_file(folder / name, file, remedy)
    return Bundle(folder, manifest)


def _parse_manifest(path: Path, content: Any, remedy: str) -> Manifest:
    found = content.get("format_version") if isinstance(content, dict) else None
    require_format_version(path, found, expected=FORMAT_VERSION, remedy=remedy)
    if content.get("word_rules") != WORD_RULES:
        raise ValueError(
            f"{path} has word_rules {content.get('word_rules')!r}, but this code splits sentences by word_rules {WORD_RULES}; "
            f"run: {remedy}"
        )
    try:
        return Manifest.model_validate({key: value for key, value in content.items() if key != "version"})
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise ValueError(f"{path}: {key}: {first['msg']}; run: {remedy}") from error
