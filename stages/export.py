"""DVC stage `export`: data/encoder/, data/checkpoints/, data/features/, data/corpus/, data/reports/evaluation/calibration.json
-> data/bundle/, data/reports/export.json.
"""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from tqdm import tqdm

from corpus.files import read_json, write_bytes, write_json
from corpus.records import load_corpus
from corpus.store import FeatureStore, require_same_fingerprint
from corpus.windows import WindowRule
from models.exchange.checkpoint import CheckpointConfig, load_localizer, load_retriever
from models.exchange.encoder_files import CONFIG, Encoders, load_encoders, require_own_features
from models.exchange.roles import Localizer, Retriever
from models.exporting.networks import (
    OnnxNetwork,
    build_clip_network,
    build_localizer_network,
    build_query_network,
    build_text_network,
    build_video_network,
)
from serving.bundle import BundleDims, Manifest, describe_files, save_manifest
from serving.calibration import load_calibrations
from serving.search import SearchSettings
from stages.support import paths
from stages.support.entry import run_stage
from stages.support.machine import prepare_torch
from stages.support.params import load_params
from stages.support.parity import (
    Inputs,
    Samples,
    build_clip_cases,
    build_encoded_cases,
    build_localizer_cases,
    build_text_cases,
    build_video_cases,
    load_samples,
    measure_latency,
    require_parity,
)

LATENCY_THREADS = 1


class ExportInputs(NamedTuple):
    """The folders that are read."""

    corpus_dir: Path
    encoder_dir: Path
    features_dir: Path
    checkpoints_dir: Path
    calibration_path: Path  # what `evaluate` learned of scores


class TrainedParts(NamedTuple):
    """Everything that goes into a bundle, made from one another."""

    encoders: Encoders
    retriever: Retriever
    localizer: Localizer
    retriever_config: CheckpointConfig
    localizer_config: CheckpointConfig
    store: FeatureStore


def main() -> None:
    """Export the models of the working tree."""
    params = load_params()
    prepare_torch(1)
    calibration_path = paths.REPORTS / "evaluation" / "calibration.json"
    inputs = ExportInputs(paths.CORPUS, paths.ENCODER, paths.FEATURES, paths.CHECKPOINTS, calibration_path)
    search = SearchSettings.model_validate(params.search.model_dump())
    report = export(inputs, search, max_difference=params.export.max_difference, bundle_dir=paths.BUNDLE)
    write_json(paths.REPORTS / "export.json", report)
    print(f"bundle {report['version'][:12]}: {sum(report['size_bytes'].values()) / 1e6:.1f} MB")


def export(inputs: ExportInputs, search: SearchSettings, *, max_difference: float, bundle_dir: Path) -> dict[str, Any]:
    """Write the bundle and return the report: version, sizes, differences from torch and latencies.

    Raises:
        ValueError: when the models were not made from one another, or a network differs from torch too much.
    """
    parts = load_parts(inputs)
    corpus = load_corpus(inputs.corpus_dir)
    durations_s = {video.video_id: video.duration_s for video in corpus.videos}
    samples = load_samples([query.text for query in corpus.queries], parts.store, durations_s)
    parity: dict[str, float] = {}
    latency_ms: dict[str, float] = {}
    for network, cases in tqdm(build_networks(parts, samples), desc="export", unit="network", disable=None):
        path = bundle_dir / f"{network.name}.onnx"
        write_bytes(path, network.export(cases[-1]))
        parity[network.name] = require_parity(network, path, cases, max_difference=max_difference)
        latency_ms[network.name] = round(measure_latency(path, cases[-1], num_threads=LATENCY_THREADS), 3)
    tokenizer = parts.encoders.tokenizer
    tokenizer.save(bundle_dir / tokenizer.file_name)
    manifest = build_manifest(parts, search, parity, bundle_dir=bundle_dir, inputs=inputs)
    save_manifest(manifest, bundle_dir)
    sizes = {name: file.size_bytes for name, file in manifest.files.items()}
    return {"version": manifest.version, "size_bytes": sizes, "max_difference": parity, "latency_ms": latency_ms}


def load_parts(inputs: ExportInputs) -> TrainedParts:
    """Load encoders, checkpoints and features, and refuse those that were not made from one another."""
    encoders, store = load_encoders(inputs.encoder_dir), FeatureStore(inputs.features_dir)
    require_own_features(encoders, store)
    retriever, retriever_config = load_retriever(inputs.checkpoints_dir / "retriever")
    localizer, localizer_config = load_localizer(inputs.checkpoints_dir / "localizer")
    for config in (retriever_config, localizer_config):
        require_same_fingerprint(expected=store.fingerprint, found=config.fingerprint, what=f"the {config.role}")
        if config.text_digest != encoders.text_digest:
            raise ValueError(
                f"the {config.role} was trained with the text encoder {config.text_digest}, "
                f"but {inputs.encoder_dir} holds {encoders.text_digest}; run: dvc repro train@{config.role}"
            )
    return TrainedParts(encoders, retriever, localizer, retriever_config, localizer_config, store)


def build_networks(parts: TrainedParts, samples: Samples) -> list[tuple[OnnxNetwork, Sequence[Inputs]]]:
    """Return each network with the cases it is tried on; the last case is the largest.

    There is no network for videos where their features come from files.
    """
    encoders, num_cells = parts.encoders, parts.localizer.num_cells
    video = [(build_video_network(encoders.video), build_video_cases(encoders.video.sampling))] if encoders.video else []
    return [
        *video,
        (build_text_network(encoders.text), build_text_cases(samples, encoders)),
        (build_clip_network(parts.retriever), build_clip_cases(samples)),
        (build_query_network(parts.retriever), build_encoded_cases(samples, encoders)),
        (build_localizer_network(parts.localizer), build_localizer_cases(samples, encoders, num_cells)),
    ]


def build_manifest(
    parts: TrainedParts, search: SearchSettings, parity: dict[str, float], *, bundle_dir: Path, inputs: ExportInputs
) -> Manifest:
    """Describe the files of a bundle, what they were made from, and how videos and scores are read."""
    encoder_config = read_json(inputs.encoder_dir / CONFIG)
    rule = WindowRule(parts.localizer_config.longest_s)
    configs = (parts.retriever_config, parts.localizer_config)
    components = {config.role: dict(config.component) for config in configs}
    return Manifest(
        sampling=parts.encoders.video.sampling if parts.encoders.video else None,
        fingerprint=parts.store.fingerprint,
        text_digest=parts.encoders.text_digest,
        search=search,
        num_cells=parts.localizer.num_cells,
        window_s=rule.window_s,
        window_overlap=rule.overlap,
        calibration=load_calibrations(inputs.calibration_path),
        dims=BundleDims(**asdict(parts.retriever_config.dims), embedding_dim=parts.retriever.embedding_dim),
        files=describe_files(bundle_dir, has_video_encoder=parts.encoders.video is not None, tokenizer=parts.encoders.tokenizer),
        components=components
        | {role: encoder_config[role] for role in ("video_encoder", "text_encoder") if encoder_config[role]},
        parity=parity,
    )


if __name__ == "__main__":
    run_stage(main, name="export")
