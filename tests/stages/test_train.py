"""Training a role on a small synthetic feature store: outputs, determinism, resuming, errors."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from streams import write_store

from corpus.store import FeatureStore, Fingerprint, FingerprintMismatchError, StreamStore, combine_fingerprints
from models.artefacts.checkpoint import load_blind, load_localizer, load_retriever
from models.contracts.batches import InputDims, StreamDims
from models.localizers.readouts.readout_shots import ShotsParams
from models.training.schema import derive_seed
from pipeline.components.trained import TrainedComponent
from pipeline.tracking import server as tracking
from pipeline.training.inputs import TrainInputs, measure_dims
from pipeline.training.role_training import train, train_tracked
from small_training import (
    FINGERPRINT,
    ROOT,
    load_inputs,
    make_corpus,
    make_plan,
    read_outputs,
    replace_training,
    train_in_two_parts,
    write_inputs,
)
from stages.train import read_role

CHECKPOINTS = {"retriever": load_retriever, "localizer": load_localizer, "blind": load_blind}


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    monkeypatch.setenv("CUEPOINT_DEVICE", "cpu")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    monkeypatch.setattr("pipeline.tracking.tracked_run._DRAIN_S", 600.0)


@pytest.fixture
def inputs(tmp_path: Path) -> TrainInputs:
    write_inputs(tmp_path, make_corpus())
    return load_inputs(tmp_path)


@pytest.mark.parametrize("role", ["retriever", "localizer", "blind"])
def test_the_same_seed_gives_the_same_bytes_and_another_seed_does_not(role: str, inputs: TrainInputs, tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        train(make_plan(role, seed=seed), inputs, out_dir=tmp_path / name, state_dir=tmp_path / f"state-{name}")
    assert read_outputs(tmp_path / "a") == read_outputs(tmp_path / "b")
    assert read_outputs(tmp_path / "a")["weights.safetensors"] != read_outputs(tmp_path / "c")["weights.safetensors"]


@pytest.mark.parametrize("role", ["retriever", "localizer", "blind"])
def test_a_trained_role_can_be_loaded_with_its_inputs(role: str, inputs: TrainInputs, tmp_path: Path) -> None:
    plan = make_plan(role)
    train(plan, inputs, out_dir=tmp_path / "out", state_dir=tmp_path / "state")
    model, config = CHECKPOINTS[role](tmp_path / "out")
    assert not model.training
    assert config.component == plan.chosen.component.model_dump(mode="json")
    streams = () if role == "blind" else ("video",)
    assert config.streams == streams
    assert config.fingerprint == combine_fingerprints({name: FINGERPRINT for name in streams})
    assert config.dims == InputDims({name: StreamDims(num_places=4, dim=8) for name in streams}, text_dim=8)


def test_metrics_are_those_of_the_best_epoch_of_the_curve(inputs: TrainInputs, tmp_path: Path) -> None:
    result = train(make_plan("localizer"), inputs, out_dir=tmp_path / "out", state_dir=tmp_path / "state")
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert metrics["val/mIoU"] == max(row["val/mIoU"] for row in result.curve)
    assert metrics["epochs"] == len(result.curve) == 3
    assert (tmp_path / "out" / "curves.csv").read_text().splitlines()[0].startswith("epoch,train/loss,val/mIoU,val/R1_iou0.3")


def test_patience_ends_a_training_that_does_not_improve(inputs: TrainInputs, tmp_path: Path) -> None:
    plan = replace_training(make_plan("localizer", max_epochs=30), patience_epochs=1, optimizer={"learning_rate": 1e-12})
    result = train(plan, inputs, out_dir=tmp_path / "out", state_dir=tmp_path / "state")
    assert len(result.curve) < 30


def test_without_validation_queries_the_last_epoch_is_kept_with_a_warning(tmp_path: Path) -> None:
    write_inputs(tmp_path, make_corpus(num_validation=0))
    with pytest.warns(UserWarning, match="no query in the split 'val', so training keeps the last epoch"):
        result = train(make_plan("localizer"), load_inputs(tmp_path), out_dir=tmp_path / "out", state_dir=tmp_path / "state")
    assert result.best["epoch"] == 2


def test_a_role_that_learns_refuses_a_corpus_without_training_queries(tmp_path: Path) -> None:
    write_inputs(tmp_path, make_corpus(num_train=0))
    with pytest.raises(ValueError, match="the localizer learns from sentences, .* -S train.models.localizer=readout_shots"):
        train(make_plan("localizer"), load_inputs(tmp_path), out_dir=tmp_path / "out", state_dir=tmp_path / "state")


def test_roles_that_learn_nothing_and_floors_need_no_training_queries(tmp_path: Path) -> None:
    write_inputs(tmp_path, make_corpus(num_train=0))
    plan, inputs = make_plan("localizer"), load_inputs(tmp_path)
    shots = TrainedComponent(ShotsParams(name="readout_shots", num_cells=8), (), None, {"min_cells": [1, 2]})
    result = train(replace(plan, chosen=shots), inputs, out_dir=tmp_path / "shots", state_dir=tmp_path / "state")
    assert len(result.curve) == 2  # the validation split still chooses
    assert load_localizer(tmp_path / "shots")[1].longest_s == 17.0  # of all videos
    with pytest.warns(UserWarning, match="no query in the split 'train': the floor blind is not trained"):
        floor = train(make_plan("blind"), inputs, out_dir=tmp_path / "blind", state_dir=tmp_path / "state")
    assert floor.curve == []


def test_features_of_other_encoders_are_refused(inputs: TrainInputs) -> None:
    other: Any = SimpleNamespace(fingerprint=Fingerprint({"arrays": "others"}, {}))
    with pytest.raises(
        FingerprintMismatchError, match="the stream 'video' of .* made with other .*arrays: expected others, found synthetic"
    ):
        TrainInputs(inputs.corpus, inputs.store, inputs.encoders._replace(streams={"video": other}))


@pytest.mark.parametrize("role", ["retriever", "localizer"])
def test_a_model_of_a_missing_stream_is_refused_before_training(role: str, inputs: TrainInputs, tmp_path: Path) -> None:
    plan = make_plan(role)
    component = plan.chosen.component.model_copy(update={"streams": ("video", "sound")})
    plan = replace(plan, chosen=replace(plan.chosen, component=component))
    with pytest.raises(
        ValueError, match=f"the {role} {component.name} reads the streams video, sound, but .* holds video; "
    ) as caught:
        train(plan, inputs, out_dir=tmp_path / "out", state_dir=tmp_path / "state")
    assert "add a stream: dvc exp run -S +pretrain.streams.sound=PRESET" in str(caught.value)
    assert f"dvc exp run -S 'presets/{role}/PRESET.yaml:streams=[video]'" in str(caught.value)
    assert not (tmp_path / "state").exists()
    assert not (tmp_path / "out").exists()


def test_another_stream_of_the_store_does_not_change_the_inputs_of_a_model(inputs: TrainInputs, tmp_path: Path) -> None:
    video = dict(inputs.store.stream("video").items())
    sound = {name: clips[:, :1] for name, clips in video.items()}
    rates = {"video": 2.0, "sound": 2.0}
    write_store(tmp_path / "features", {"video": video, "sound": sound}, fingerprint=FINGERPRINT, clip_rates_hz=rates)
    more = replace(inputs, store=FeatureStore(tmp_path / "features"))
    for streams in (("video",), ()):
        assert more.to_json(streams) == inputs.to_json(streams)
    assert more.to_json(("video", "sound")) != inputs.to_json(("video",))


def test_a_loss_that_is_not_finite_stops_the_training_and_names_the_remedy(inputs: TrainInputs, tmp_path: Path) -> None:
    plan = make_plan("localizer", max_epochs=20)
    plan = replace_training(plan, gradient_clip_norm=1e30, optimizer={"learning_rate": 1e30})
    with pytest.raises(ValueError, match=r"the loss is \w+ in epoch \d+ at batch \d+ .*lower training.optimizer.learning_rate"):
        train(plan, inputs, out_dir=tmp_path / "out", state_dir=tmp_path / "state")


@pytest.mark.parametrize("role", ["retriever", "localizer", "blind"])
def test_a_stopped_training_resumes_and_ends_with_the_same_bytes(role: str, inputs: TrainInputs, tmp_path: Path) -> None:
    train(make_plan(role, max_epochs=4), inputs, out_dir=tmp_path / "whole", state_dir=tmp_path / "state-whole")
    train_in_two_parts(make_plan(role, max_epochs=4), inputs, tmp_path)
    assert read_outputs(tmp_path / "resumed") == read_outputs(tmp_path / "whole")


@pytest.mark.parametrize("damage", [1, 2])
def test_a_damaged_state_falls_back_to_the_one_before_or_to_the_start(damage: int, inputs: TrainInputs, tmp_path: Path) -> None:
    train(make_plan("blind", max_epochs=4), inputs, out_dir=tmp_path / "whole", state_dir=tmp_path / "state-whole")
    with pytest.warns(UserWarning, match=r"\.ckpt is damaged .*; going on from the epoch before"):
        train_in_two_parts(make_plan("blind", max_epochs=4), inputs, tmp_path, damage=damage)
    assert read_outputs(tmp_path / "resumed") == read_outputs(tmp_path / "whole")


@pytest.mark.slow
@pytest.mark.slow
def test_the_state_is_removed_when_the_result_is_written(inputs: TrainInputs, tmp_path: Path) -> None:
    train_tracked(make_plan("blind"), inputs, out_dir=tmp_path / "out", cache_dir=tmp_path / "cache", tags={})
    assert list((tmp_path / "cache" / "training").iterdir()) == []
    assert json.loads((tmp_path / "out" / "run.json").read_text())["run_id"]


@pytest.mark.parametrize("arguments", [[], ["localiser"], ["blind", "localizer"]])
def test_the_error_of_a_wrong_role_lists_the_roles(arguments: list[str]) -> None:
    given = " ".join(arguments) or "nothing"
    with pytest.raises(ValueError, match=f"needs one of the roles retriever, localizer, blind, got {given}; run: python -m"):
        read_role(arguments)


KILLED = """
import sys, time
from pathlib import Path
import small_training, torch
from pipeline.tracking import tracked_run
from pipeline.training import role_training
tracked_run._DRAIN_S = 600.0
torch.set_num_threads(1)
folder = Path(sys.argv[1])
original = role_training.TrackedRun.log
def log_slowly(self, step, values):
    original(self, step, values)
    print("epoch", step, flush=True)
    if step == int(sys.argv[2]):
        time.sleep(3600)
role_training.TrackedRun.log = log_slowly
role_training.train_tracked(
    small_training.make_plan("localizer", max_epochs=5), small_training.load_inputs(folder),
    out_dir=folder / "killed", cache_dir=folder / "cache", tags={},
)
"""


def start_training(folder: Path, stops_at: int) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", KILLED, str(folder), str(stops_at)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT / "tests")},
    )


@pytest.mark.fault
def test_a_training_killed_with_signal_9_resumes_its_weights_and_its_run(inputs: TrainInputs, tmp_path: Path) -> None:
    train(make_plan("localizer", max_epochs=5), inputs, out_dir=tmp_path / "whole", state_dir=tmp_path / "state-whole")
    with start_training(tmp_path, stops_at=2) as process:
        assert process.stdout is not None
        while "epoch 2" not in process.stdout.readline():
            assert process.poll() is None
        process.send_signal(signal.SIGKILL)
    assert not (tmp_path / "killed").exists()
    with start_training(tmp_path, stops_at=-1) as again:
        output, _ = again.communicate(timeout=300)
    assert again.returncode == 0
    assert "epoch 0" not in output
    assert read_outputs(tmp_path / "killed") == read_outputs(tmp_path / "whole")
    with tracking.open_client() as client:
        (run,) = client.search_runs(["1"])
        history = client.get_metric_history(run.info.run_id, "val/mIoU")
    assert run.info.status == "FINISHED"
    assert [metric.step for metric in history] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("role", ["retriever", "localizer", "blind"])
def test_a_role_without_losses_is_written_untrained_and_reads_no_features(
    role: str, inputs: TrainInputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = make_plan(role)
    plan = replace(plan, chosen=replace(plan.chosen, losses=(), training=None))
    shapes = [stream.feature_shape for stream in inputs.store.streams.values()]  # measured before the test forbids reading
    monkeypatch.setattr(StreamStore, "load", None)
    result = train_tracked(plan, inputs, out_dir=tmp_path / "out", cache_dir=tmp_path / "cache", tags={})
    model, _ = CHECKPOINTS[role](tmp_path / "out")
    torch.manual_seed(derive_seed(plan.seed, role))
    expected = plan.chosen.component.build(measure_dims(inputs, plan.chosen.component.streams)).state_dict()
    assert result.curve == []
    assert shapes == [(4, 8)]
    assert all(torch.equal(expected[name], weights) for name, weights in model.state_dict().items())
    assert json.loads((tmp_path / "out" / "metrics.json").read_text()) == {"epochs": 0}
    assert not (tmp_path / "cache").exists()
