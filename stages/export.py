"""DVC stage `export`: data/encoder/, data/checkpoints/, data/features/, data/corpus/, data/reports/evaluation/calibration.json
-> data/bundle/, data/reports/export.json.
"""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from tqdm import tqdm

from corpus.files import read_json, write_bytes, write_json
from corpus.records import load_corpus
from corpus.stream_names import name_encoder
from corpus.windows import WindowRule
from evaluation.parity import build_trials, load_samples, measure_latency, require_parity
from models.artefacts.encoder_files import CONFIG
from models.artefacts.trained_parts import TrainedParts, load_parts
from pipeline import paths
from pipeline.entry import run_stage
from pipeline.executors.machine import prepare_torch
from pipeline.params import load_params
from search.bundle import BundleDims, BundleStream, BundleStreamDims, Manifest, describe_files, save_manifest
from search.calibration import load_calibrations
from search.model_name import ModelName
from search.params import SearchParams

LATENCY_THREADS = 1


class ExportInputs(NamedTuple):
    """The folders that the export reads."""

    corpus_dir: Path
    encoder_dir: Path
    features_dir: Path
    checkpoints_dir: Path
    calibration_path: Path  # calibration of scores, from `evaluate`


def main() -> None:
    """Export the models of the working tree."""
    params = load_params()
    prepare_torch(1)
    calibration_path = paths.REPORTS / "evaluation" / "calibration.json"
    inputs = ExportInputs(paths.CORPUS, paths.ENCODER, paths.FEATURES, paths.CHECKPOINTS, calibration_path)
    search = params.search
    report = export(inputs, search, max_difference=params.export.max_difference, bundle_dir=paths.BUNDLE)
    write_json(paths.REPORTS / "export.json", report)
    print(f"bundle {report['version'][:12]}: {sum(report['size_bytes'].values()) / 1e6:.1f} MB")


def export(inputs: ExportInputs, search: SearchParams, *, max_difference: float, bundle_dir: Path) -> dict[str, Any]:
    """Write the bundle and return the report: version, sizes, differences from torch and latencies.

    Raises:
        ValueError: when the models do not belong together, or an exported network differs too much from torch.
    """
    parts = load_parts(encoder_dir=inputs.encoder_dir, features_dir=inputs.features_dir, checkpoints_dir=inputs.checkpoints_dir)
    corpus = load_corpus(inputs.corpus_dir)
    durations_s = {video.video_id: video.duration_s for video in corpus.videos}
    samples = load_samples([query.text for query in corpus.queries], parts.store, parts.streams, durations_s)
    parity: dict[str, float] = {}
    latency_ms: dict[str, float] = {}
    for network, cases in tqdm(build_trials(parts, samples), desc="export", unit="network", disable=None):
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


def build_manifest(
    parts: TrainedParts, search: SearchParams, parity: dict[str, float], *, bundle_dir: Path, inputs: ExportInputs
) -> Manifest:
    """Describe the files of a bundle, their inputs, the reading of videos and the calibration of scores."""
    rule = WindowRule(parts.localizer_config.longest_s)
    streams, config = {name: describe_stream(parts, name) for name in parts.streams}, read_json(inputs.encoder_dir / CONFIG)
    encoded = [name for name, stream in streams.items() if stream.sampling]
    return Manifest(
        streams=streams,
        retriever_streams=parts.retriever.streams,
        localizer_streams=parts.localizer.streams,
        text_digest=parts.encoders.text_digest,
        search=search,
        num_cells=parts.localizer.num_cells,
        window_s=rule.window_s,
        window_overlap=rule.overlap,
        calibration=load_calibrations(inputs.calibration_path),
        dims=BundleDims(text_dim=parts.retriever_config.dims.text_dim, embedding_dim=parts.retriever.embedding_dim),
        files=describe_files(bundle_dir, encoded=encoded, tokenizer=parts.encoders.tokenizer),
        components=list_components(parts, config),
        models=list_models(config, streams),
        parity=parity,
    )


def describe_stream(parts: TrainedParts, name: str) -> BundleStream:
    """Describe a stream of the store; a stream from feature files has no sampling."""
    stored, made = parts.store.stream(name), parts.encoders.streams.get(name)
    num_places, dim = stored.feature_shape
    return BundleStream(
        sampling=made.params.sampling if made else None,
        fingerprint=stored.fingerprint,
        clip_rate_hz=stored.clip_rate_hz,
        dims=BundleStreamDims(num_places=num_places, dim=dim),
    )


def list_components(parts: TrainedParts, encoder_config: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the values of the roles and encoders of a bundle."""
    encoders = {name_encoder(name): values for name, values in encoder_config["streams"].items() if name in parts.streams}
    roles = {config.role: dict(config.component) for config in (parts.retriever_config, parts.localizer_config)}
    return {"text_encoder": encoder_config["text_encoder"]} | encoders | roles


def list_models(encoder_config: Mapping[str, Any], streams: Collection[str]) -> dict[str, ModelName]:
    """Return the published models among the encoders of a bundle."""
    named = {name: model for name, model in encoder_config.get("models", {}).items() if name in (*streams, "text_encoder")}
    return {name: ModelName.model_validate(model) for name, model in named.items()}


if __name__ == "__main__":
    run_stage(main, name="export")
