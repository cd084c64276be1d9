"""Export: networks agree with torch, exports are reproducible, and the error of a differing network names it."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from corpus.files import read_json
from corpus.records import load_corpus
from corpus.store import FingerprintMismatchError
from evaluation.parity import build_trials, load_samples, measure_difference, require_parity
from models.artefacts.exporting.lstm import OnnxLSTM, replace_lstms
from models.artefacts.exporting.networks import OnnxNetwork
from models.artefacts.trained_parts import load_parts
from search.bundle import MODEL_NETWORKS, load_bundle
from search.networks import open_session
from search.params import SearchParams
from small_project import SmallProject, choose_roles, choose_sound_encoder, choose_video_encoder, save_models
from stages.export import ExportInputs, export, list_components

SETTINGS = SearchParams(survivors=3, window_weight=2, localizer_weight=0.05, max_iou=0.5, moments_per_video=3)


def inputs_of(project: Any) -> ExportInputs:
    return ExportInputs(project.corpus, project.encoder, project.features, project.checkpoints, project.root / "calibration.json")


@pytest.mark.parametrize(("project", "streams"), [("small_project", {"video"}), ("two_stream_project", {"video", "sound"})])
@pytest.mark.slow
def test_the_bundle_of_a_project_is_complete_and_within_the_allowed_difference(
    project: str, streams: set[str], request: pytest.FixtureRequest
) -> None:
    manifest = load_bundle(request.getfixturevalue(project).bundle).manifest
    encoders = {f"encoder_{name}" for name in streams}
    networks = {*encoders, *MODEL_NETWORKS}
    assert set(manifest.streams) == streams
    assert set(manifest.files) == {f"{name}.onnx" for name in networks} | {"vocabulary.json"}
    assert set(manifest.parity) == networks
    assert max(manifest.parity.values()) <= 1e-4
    assert manifest.num_cells == 8
    assert set(manifest.components) == {*encoders, "text_encoder", "retriever", "localizer"}


@pytest.mark.slow
def test_each_stream_has_its_sampling_and_widths_and_each_model_its_streams(two_stream_project: Any) -> None:
    manifest = load_bundle(two_stream_project.bundle).manifest
    assert manifest.retriever_streams == ("video", "sound")
    assert manifest.localizer_streams == ("sound", "video")
    assert {name: stream.sampling.clip_rate_hz for name, stream in manifest.streams.items()} == {"video": 2.0, "sound": 3.0}
    assert {name: tuple(dict(stream.dims).values()) for name, stream in manifest.streams.items()} == {
        "video": (4, 8),
        "sound": (1, 8),
    }


@pytest.mark.slow
def test_networks_name_their_inputs_by_stream(two_stream_project: Any) -> None:
    bundle = load_bundle(two_stream_project.bundle)
    text = ["tokens", "token_mask", "pooled"]
    expected = {
        "encoder_sound": ["clips"],
        "retriever_clips": ["features_video", "features_sound"],
        "localizer": ["features_sound", "features_video", "mask", "duration_s", *text],
    }
    for name, inputs in expected.items():
        assert [one.name for one in open_session(bundle.network_path(name), num_threads=1).get_inputs()] == inputs


def test_a_stream_that_no_model_reads_is_left_out(small_models: Any, tmp_path: Path) -> None:
    project = SmallProject(tmp_path)
    shutil.copytree(small_models.raw, project.raw)
    corpus = load_corpus(small_models.corpus)
    encoders = {"sound": choose_sound_encoder(), "video": choose_video_encoder()}
    save_models(project, corpus, encoders, choose_roles())
    parts = load_parts(encoder_dir=project.encoder, features_dir=project.features, checkpoints_dir=project.checkpoints)
    samples = load_samples(["a red circle"], parts.store, parts.streams, {video.video_id: 5.0 for video in corpus.videos})
    assert [network.name for network, _ in build_trials(parts, samples)] == ["encoder_video", *MODEL_NETWORKS]
    assert set(list_components(parts, read_json(project.encoder / "config.json"))) == {
        "encoder_video",
        "text_encoder",
        "retriever",
        "localizer",
    }


def test_the_files_hold_no_path_of_this_machine(small_project: Any) -> None:
    root = str(Path(__file__).resolve().parents[2]).encode()
    assert all(root not in path.read_bytes() for path in small_project.bundle.iterdir())


@pytest.mark.slow
def test_exporting_twice_gives_the_same_bytes(small_project: Any, tmp_path: Path) -> None:
    report = export(inputs_of(small_project), SETTINGS, max_difference=1e-4, bundle_dir=tmp_path)
    again, first = load_bundle(tmp_path).manifest, load_bundle(small_project.bundle).manifest
    # manifest.json also records `parity`, a measured rounding that depends on threads and memory addresses
    assert again.model_dump(exclude={"parity"}) == first.model_dump(exclude={"parity"})
    assert again.version == first.version
    differing = [name for name in first.files if (tmp_path / name).read_bytes() != (small_project.bundle / name).read_bytes()]
    assert differing == []
    assert set(report["latency_ms"]) == {"encoder_video", *MODEL_NETWORKS}
    assert all(latency > 0 for latency in report["latency_ms"].values())


def load_copied(project: Any, checkpoints_dir: Path) -> None:
    load_parts(encoder_dir=project.encoder, features_dir=project.features, checkpoints_dir=checkpoints_dir)


def test_a_retriever_of_another_text_encoder_is_refused(small_models: Any, tmp_path: Path) -> None:
    shutil.copytree(small_models.checkpoints, tmp_path / "checkpoints")
    config = tmp_path / "checkpoints" / "retriever" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"text_digest": "other"}))
    with pytest.raises(
        ValueError, match="the retriever was trained with the text encoder other, .* run: dvc repro train@retriever"
    ):
        load_copied(small_models, tmp_path / "checkpoints")


def test_a_localizer_of_other_features_is_refused(small_models: Any, tmp_path: Path) -> None:
    shutil.copytree(small_models.checkpoints, tmp_path / "checkpoints")
    config = tmp_path / "checkpoints" / "localizer" / "config.json"
    row = json.loads(config.read_text())
    row["fingerprint"]["identity"]["video.weights"] = "other"
    config.write_text(json.dumps(row))
    with pytest.raises(FingerprintMismatchError, match="the localizer was made with other features .*weights"):
        load_copied(small_models, tmp_path / "checkpoints")


def test_a_network_that_differs_from_torch_is_named_with_the_difference(tmp_path: Path) -> None:
    exported, other = torch.nn.Linear(2, 1), torch.nn.Linear(2, 1)
    example = {"inputs": torch.ones(3, 2)}
    path = tmp_path / "straight.onnx"
    path.write_bytes(OnnxNetwork("straight", exported, {"inputs": ("batch",)}, ("outputs",)).export(example))
    network = OnnxNetwork("straight", _Tuple(other), {"inputs": ("batch",)}, ("outputs",))
    with pytest.raises(ValueError, match=r"'straight' differs from torch by .* in outputs \(3, 1\), .*max_difference = 0.0001"):
        require_parity(network, path, [example], max_difference=1e-4)


class _Tuple(torch.nn.Module):
    def __init__(self, module: torch.nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, inputs: torch.Tensor) -> tuple[torch.Tensor]:
        return (self.module(inputs),)


def test_a_difference_is_relative_to_the_largest_expected_value() -> None:
    assert measure_difference(np.array([1.0, -4.0]), np.array([1.2, -4.0])) == pytest.approx(0.05)


def test_equal_infinities_are_no_difference_and_unequal_ones_are_infinite() -> None:
    expected = np.array([-np.inf, 2.0])
    assert measure_difference(expected, expected.copy()) == 0.0
    assert measure_difference(expected, np.array([0.0, 2.0])) == float("inf")


def test_other_truths_and_other_shapes_are_infinite_differences() -> None:
    assert measure_difference(np.array([True, False]), np.array([True, True])) == float("inf")
    assert measure_difference(np.zeros(2), np.zeros(3)) == float("inf")


@pytest.mark.slow
@pytest.mark.parametrize(("num_layers", "bidirectional"), [(1, False), (2, True)])
def test_an_exported_lstm_reads_sentences_of_any_length(tmp_path: Path, num_layers: int, bidirectional: bool) -> None:
    torch.manual_seed(0)
    lstm = torch.nn.LSTM(3, 5, num_layers=num_layers, bidirectional=bidirectional, batch_first=True).eval()
    network = OnnxNetwork("lstm", _First(lstm), {"inputs": ("batch", "words")}, ("states",))
    path = tmp_path / "lstm.onnx"
    path.write_bytes(network.export({"inputs": torch.randn(2, 4, 3)}))
    session = open_session(path, num_threads=1)
    for shape in [(1, 1, 3), (4, 9, 3)]:
        inputs = torch.randn(shape)
        found = session.run(None, {"inputs": inputs.numpy()})[0]
        np.testing.assert_allclose(found, network.run({"inputs": inputs})["states"].numpy(), atol=1e-6)


class _First(torch.nn.Module):
    def __init__(self, lstm: torch.nn.LSTM) -> None:
        super().__init__()
        self.lstm = lstm

    def forward(self, inputs: torch.Tensor) -> tuple[torch.Tensor]:
        states, _ = self.lstm(inputs)
        return (states,)


def test_replacing_lstms_does_not_change_the_module() -> None:
    module = torch.nn.Sequential(torch.nn.LSTM(2, 2, batch_first=True))
    replaced = replace_lstms(module)
    assert isinstance(module[0], torch.nn.LSTM)
    assert isinstance(replaced.get_submodule("0"), OnnxLSTM)


def test_an_lstm_that_onnx_cannot_express_is_refused() -> None:
    with pytest.raises(ValueError, match="only a batch-first LSTM with biases and without projection"):
        OnnxLSTM(torch.nn.LSTM(2, 4, proj_size=2, batch_first=True))
