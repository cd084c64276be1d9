"""The exported networks give what torch gives, in equal bytes, and a network that does not is refused by name."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from corpus.store import FingerprintMismatchError
from models.exporting.lstm import OnnxLSTM, replace_lstms
from models.exporting.networks import OnnxNetwork
from serving.bundle import NETWORKS, load_bundle
from serving.networks import open_session
from serving.search import SearchSettings
from stages.export import ExportInputs, export, load_parts
from stages.support.parity import measure_difference, require_parity

SETTINGS = SearchSettings(survivors=3, window_weight=2, localizer_weight=0.05, max_iou=0.5, moments_per_video=3)


def inputs_of(project: Any) -> ExportInputs:
    return ExportInputs(project.corpus, project.encoder, project.features, project.checkpoints, project.root / "calibration.json")


def test_the_bundle_of_a_project_is_complete_and_within_the_allowed_difference(small_project: Any) -> None:
    manifest = load_bundle(small_project.bundle).manifest
    assert set(manifest.files) == {f"{name}.onnx" for name in NETWORKS} | {"vocabulary.json"}
    assert set(manifest.parity) == set(NETWORKS)
    assert max(manifest.parity.values()) <= 1e-4
    assert manifest.num_cells == 8
    assert set(manifest.components) == {"video_encoder", "text_encoder", "retriever", "localizer"}


def test_the_files_hold_no_path_of_this_machine(small_project: Any) -> None:
    root = str(Path(__file__).resolve().parents[2]).encode()
    assert all(root not in path.read_bytes() for path in small_project.bundle.iterdir())


@pytest.mark.slow
def test_exporting_twice_gives_the_same_bytes(small_project: Any, tmp_path: Path) -> None:
    report = export(inputs_of(small_project), SETTINGS, max_difference=1e-4, bundle_dir=tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {path.name for path in small_project.bundle.iterdir()}
    assert all(path.read_bytes() == (small_project.bundle / path.name).read_bytes() for path in tmp_path.iterdir())
    assert set(report["latency_ms"]) == set(NETWORKS)
    assert all(latency > 0 for latency in report["latency_ms"].values())


def test_a_retriever_of_another_text_encoder_is_refused(small_models: Any, tmp_path: Path) -> None:
    shutil.copytree(small_models.checkpoints, tmp_path / "checkpoints")
    config = tmp_path / "checkpoints" / "retriever" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"text_digest": "other"}))
    inputs = inputs_of(small_models)._replace(checkpoints_dir=tmp_path / "checkpoints")
    with pytest.raises(
        ValueError, match="the retriever was trained with the text encoder other, .* run: dvc repro train@retriever"
    ):
        load_parts(inputs)


def test_a_localizer_of_other_features_is_refused(small_models: Any, tmp_path: Path) -> None:
    shutil.copytree(small_models.checkpoints, tmp_path / "checkpoints")
    config = tmp_path / "checkpoints" / "localizer" / "config.json"
    row = json.loads(config.read_text())
    row["fingerprint"]["identity"]["weights"] = "other"
    config.write_text(json.dumps(row))
    inputs = inputs_of(small_models)._replace(checkpoints_dir=tmp_path / "checkpoints")
    with pytest.raises(FingerprintMismatchError, match="the localizer was made with other features .*weights"):
        load_parts(inputs)


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


def test_replacing_lstms_leaves_the_module_as_it_was() -> None:
    module = torch.nn.Sequential(torch.nn.LSTM(2, 2, batch_first=True))
    replaced = replace_lstms(module)
    assert isinstance(module[0], torch.nn.LSTM)
    assert isinstance(replaced.get_submodule("0"), OnnxLSTM)


def test_an_lstm_that_onnx_cannot_express_is_refused() -> None:
    with pytest.raises(ValueError, match="only a batch-first LSTM with biases and without projection"):
        OnnxLSTM(torch.nn.LSTM(2, 4, proj_size=2, batch_first=True))
