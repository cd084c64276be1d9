"""Search bundle of a published pair: both towers as ONNX, with a retriever and a localizer that have nothing to learn.

Letters: S clips, N cells, B sentences, D width that pictures and sentences share.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import torch
from torch.nn import functional as F

from corpus.files import sha256_json
from corpus.media import decoder_version
from corpus.schema_files import load_yaml, validate
from corpus.store import Fingerprint
from corpus.stream_names import VIDEO, name_encoder, name_features
from corpus.text import Tokenizer
from corpus.windows import WindowRule
from models.artefacts.encoder_files import compute_identity, compute_text_digest
from models.artefacts.exporting.cases import Inputs, build_encoder_cases
from models.artefacts.exporting.networks import (
    OnnxNetwork,
    build_clip_network,
    build_encoder_network,
    build_localizer_network,
    build_query_network,
    build_text_network,
)
from models.contracts.batches import InputDims, StreamDims
from models.contracts.roles import ClipStart, Localizer, Retriever, TextStart
from models.encoders.pairs import PairParams
from models.encoders.pretrained.source import SourceParams
from models.localizers import LocalizerParams
from models.retrievers import RetrieverParams
from pipeline.published.pair_files import CASE_SENTENCES, Cases, Check, export
from pipeline.published.presets import FolderSearch, find_preset
from search.bundle import BundleDims, BundleStream, BundleStreamDims, Manifest, describe_files, save_manifest
from search.calibration import Calibrations
from search.fetched_pair import PAIR, FetchedPair
from search.model_name import ModelName

_NO_CALIBRATION = "the models were not trained here, so no validation split calibrates them"
_REVISION_LENGTH = 12


class PairRoles(NamedTuple):
    """A published pair with its retriever and localizer."""

    name: str  # of the preset
    video: ClipStart
    text: TextStart
    retriever: Retriever
    localizer: Localizer
    dims: StreamDims
    text_dim: int


def load_roles(name: str, presets: Path, search: FolderSearch) -> PairRoles:
    """Load a pair of the folder of presets from the files of its source.

    Raises:
        FileNotFoundError: when the source lacks a file.
        ValueError: when a file does not fit the preset, or the licence needs consent and the preset lacks it.
    """
    path = find_preset(presets, name)
    pair = validate(PairParams, load_yaml(path), source=path)
    towers = pair.expand()
    sampling = towers.video.sampling.model_copy(update={"clip_rate_hz": pair.search_rate_hz})
    video, text = towers.video.model_copy(update={"sampling": sampling}).start(), towers.text.start([])
    video.encoder.eval(), text.encoder.eval()
    dims, text_dim = _measure(video, text)
    widths = InputDims({VIDEO: dims}, text_dim)
    retriever = validate(RetrieverParams, search.retriever, source=path).build(widths).eval()
    localizer = validate(LocalizerParams, search.localizer, source=path).build(widths).eval()
    return PairRoles(name, video, text, retriever, localizer, dims, text_dim)


def write_pair_bundle(roles: PairRoles, search: FolderSearch, folder: Path, *, check: Check) -> Manifest:
    """Export a pair into a folder; the manifest comes last and completes the bundle.

    Raises:
        ValueError: when an exported network differs from torch too much.
    """
    trials = _list_trials(roles)
    parity = {network.name: export(network, folder / f"{network.name}.onnx", cases, check) for network, cases in trials}
    tokenizer = roles.text.tokenizer
    tokenizer.save(folder / tokenizer.file_name)
    manifest = _describe(roles, search, parity, folder)
    save_manifest(manifest, folder)
    return manifest


@torch.no_grad()
def _measure(video: ClipStart, text: TextStart) -> tuple[StreamDims, int]:
    """Return the shape of a clip's features, and the width of a sentence's features."""
    features = video.encoder.encode_clips(build_encoder_cases(video.params.sampling)[0]["clips"])  # (1, P, D)
    pooled = text.encoder(_encode(text.tokenizer, 1)["token_ids"]).pooled  # (1, D)
    return StreamDims(*features.shape[1:]), pooled.shape[1]


def _list_trials(roles: PairRoles) -> Iterator[tuple[OnnxNetwork, Cases]]:
    """Yield each network with its test cases; the last case is the largest."""
    ids = [_encode(roles.text.tokenizer, count) for count in (1, len(CASE_SENTENCES))]
    with torch.no_grad():
        texts = [roles.text.encoder(case["token_ids"]) for case in ids]
    encoded = [{"tokens": text.tokens, "token_mask": text.mask, "pooled": text.pooled} for text in texts]
    features = _draw_features(roles)  # (B, N, P, D)
    name = name_features(VIDEO)
    yield build_encoder_network(VIDEO, roles.video.encoder), build_encoder_cases(roles.video.params.sampling)
    yield build_text_network(roles.text.encoder), ids
    yield build_clip_network(roles.retriever), [{name: features[0, :1]}, {name: features[0]}]
    yield build_query_network(roles.retriever), encoded
    yield build_localizer_network(roles.localizer), [_localize(features, one, len(one["pooled"])) for one in encoded]


def _encode(tokenizer: Tokenizer, count: int) -> Inputs:
    return {"token_ids": torch.from_numpy(tokenizer.encode(CASE_SENTENCES[:count]))}


def _draw_features(roles: PairRoles) -> torch.Tensor:
    """Return cells of videos whose neighbours resemble each other, with cuts: (B, N, P, D)."""
    generator, num_cells = torch.Generator().manual_seed(0), roles.localizer.num_cells
    shape = (len(CASE_SENTENCES), num_cells, roles.dims.num_places, roles.dims.dim)
    shots = torch.randn(shape, generator=generator)[:, torch.arange(num_cells) // max(1, num_cells // 4)]
    return F.normalize(shots, dim=-1) + 0.01 * torch.randn(shape, generator=generator)


def _localize(features: torch.Tensor, text: Inputs, count: int) -> Inputs:
    mask = torch.ones(features.shape[:2], dtype=torch.bool)[:count]
    return {name_features(VIDEO): features[:count], "mask": mask, "duration_s": torch.linspace(9.0, 60.0, count), **text}


def _describe(roles: PairRoles, search: FolderSearch, parity: dict[str, float], folder: Path) -> Manifest:
    video, text, tokenizer, rule = roles.video, roles.text, roles.text.tokenizer, WindowRule(search.window_s)
    sampling, encoder = video.params.sampling, name_encoder(VIDEO)
    identity = compute_identity(video.params, video.encoder)
    stream = BundleStream(
        sampling=sampling,
        fingerprint=Fingerprint(identity, {"decoder": decoder_version()}),
        clip_rate_hz=sampling.clip_rate_hz,
        dims=BundleStreamDims(num_places=roles.dims.num_places, dim=roles.dims.dim),
    )
    roles_ = {"retriever": dict(search.retriever), "localizer": dict(search.localizer)}
    encoders = {encoder: video.params.model_dump(mode="json"), "text_encoder": text.params.model_dump(mode="json")}
    return Manifest(
        streams={VIDEO: stream},
        retriever_streams=roles.retriever.streams,
        localizer_streams=roles.localizer.streams,
        text_digest=compute_text_digest(text.params, text.encoder, tokenizer),
        search=search.search,
        num_cells=roles.localizer.num_cells,
        window_s=rule.window_s,
        window_overlap=rule.overlap,
        calibration=Calibrations(search=None, localize=None, missing=dict.fromkeys(("search", "localize"), _NO_CALIBRATION)),
        dims=BundleDims(text_dim=roles.text_dim, embedding_dim=roles.retriever.embedding_dim),
        files=describe_files(folder, encoded=[VIDEO], tokenizer=tokenizer),
        components=encoders | roles_,
        models={PAIR: _name_pair(roles)},
        parity=parity,
        fetched=FetchedPair(good_for=search.good_for, licence=_find_source(roles)[0].licence),
    )


def _name_pair(roles: PairRoles) -> ModelName:
    """Return name and revision: the hub's commit if the files state it, otherwise the hash of all weights."""
    sources = _find_source(roles)
    revision = sources[0].revision or sha256_json([dict(one.weights_sha256 or {}) for one in sources])
    return ModelName(name=roles.name, revision=revision[:_REVISION_LENGTH])


def _find_source(roles: PairRoles) -> tuple[SourceParams, SourceParams]:
    video, text = roles.video.params, roles.text.params
    assert isinstance(video, SourceParams)
    assert isinstance(text, SourceParams)
    return video, text
