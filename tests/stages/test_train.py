"""Training a role on a small synthetic feature store: outputs, determinism, resuming, errors."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from corpus.moments import Moment
from corpus.records import Corpus, Query, Video, load_corpus, save_corpus
from corpus.store import FeatureStore, Fingerprint, FingerprintMismatchError, save_index, save_shard
from corpus.text import Vocabulary
from models.blinds.text_only import TextOnlyParams
from models.exchange.checkpoint import load_blind, load_localizer, load_retriever
from models.exchange.encoder_files import Encoders
from models.localizers.tan2d import Tan2DParams
from models.losses.info_nce import InfoNCEParams
from models.losses.iou_bce import IoUBCEParams
from models.losses.scaled_iou_bce import ScaledIoUBCEParams
from models.retrievers.dual_encoder import DualEncoderParams
from models.text_encoders.word_vectors import WordVectorsParams
from models.optimizers.adamw import AdamWParams
from models.training.schema import TrainingParams
from stages.support import tracking
from stages.support.components import TrainedComponent
from stages.support.role_training import TrainInputs, TrainPlan, train, train_tracked
from stages.train import read_role

WORDS = ("red", "green", "blue", "circle", "square", "star", "spins", "blinks")
FINGERPRINT = Fingerprint({"weights": "synthetic"}, {"decoder": "none"})
CHECKPOINTS = {"retriever": load_retriever, "localizer": load_localizer, "blind": load_blind}


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    monkeypatch.setenv("CUEPOINT_DEVICE", "cpu")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")


def make_video(split: str, index: int) -> Video:
    name = f"{split}{index}"
    return Video(name, f"{name}.mp4", split, 16.0 + index, 10.0, 160, 64, 64, 0, "h264", False, "0" * 64)


def make_corpus(num_train: int = 6, num_validation: int = 2) -> Corpus:
    generator = np.random.default_rng(0)
    counts = {"train": num_train, "val": num_validation}
    videos = [make_video(split, index) for split, count in counts.items() for index in range(count)]
    queries = []
    for video in videos:
        for number in range(4):
            start = float(generator.uniform(0, 10))
            words = " ".join(generator.choice(WORDS, size=3))
            spans = (Moment(start, start + float(generator.uniform(2, 6))),)
            queries.append(Query(f"{video.video_id}-{number}", video.video_id, words, spans, video.split, source="drawn"))
    return Corpus(tuple(videos), tuple(queries))


def write_inputs(folder: Path, corpus: Corpus) -> None:
    generator = np.random.default_rng(1)
    save_corpus(corpus, folder / "corpus")
    features = {video.video_id: generator.normal(size=(32, 4, 8)).astype(np.float16) for video in corpus.videos}
    shard = save_shard(features, folder / "features" / "shard-000.safetensors")
    save_index(folder / "features", fingerprint=FINGERPRINT, clip_rate_hz=2.0, shards=[shard])


def load_inputs(folder: Path) -> TrainInputs:
    torch.manual_seed(0)
    vocabulary = Vocabulary(WORDS)
    text = WordVectorsParams(name="word_vectors", dim=8).build(len(vocabulary)).eval().requires_grad_(False)
    nobody: Any = None  # frames are not encoded here
    encoders = Encoders(video=nobody, text=text, tokenizer=vocabulary, fingerprint=FINGERPRINT, text_digest="text")
    return TrainInputs(load_corpus(folder / "corpus"), FeatureStore(folder / "features"), encoders)


def make_plan(role: str, *, seed: int = 0, max_epochs: int = 3) -> TrainPlan:
    training = TrainingParams(max_epochs=max_epochs, batch_size=8, optimizer=AdamWParams(learning_rate=0.01), ema_decay=0.9)
    chosen: dict[str, TrainedComponent[Any]] = {
        "retriever": TrainedComponent(
            DualEncoderParams(name="dual_encoder", embedding_dim=4, hidden_dim=8, text_hidden_dim=4, dropout=0.2),
            (InfoNCEParams(name="info_nce"),),
            training,
        ),
        "localizer": TrainedComponent(
            Tan2DParams(name="tan2d", num_cells=8, hidden_dim=4, num_layers=1, kernel_size=3),
            (ScaledIoUBCEParams(name="scaled_iou_bce"),),
            training,
        ),
        "blind": TrainedComponent(
            TextOnlyParams(name="text_only", num_cells=8, hidden_dim=4, dropout=0.2), (IoUBCEParams(name="iou_bce"),), training
        ),
    }
    return TrainPlan(role, chosen[role], seed)


@pytest.fixture
def inputs(tmp_path: Path) -> TrainInputs:
    write_inputs(tmp_path, make_corpus())
    return load_inputs(tmp_path)


def read_outputs(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.name != "run.json"}


@pytest.mark.parametrize("role", ["retriever", "localizer", "blind"])
def test_the_same_seed_gives_the_same_bytes_and_another_seed_does_not(role: str, inputs: TrainInputs, tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        train(make_plan(role, seed=seed), inputs, out_dir=tmp_path / name, state_dir=tmp_path / f"state-{name}")
    assert read_outputs(tmp_path / "a") == read_outputs(tmp_path / "b")
    assert read_outputs(tmp_path / "a")["weights.safetensors"] != read_outputs(tmp_path / "c")["weights.safetensors"]


@pytest.mark.parametrize("role", ["retriever", "localizer", "blind"])
def test_a_trained_role_can_be_loaded_with_what_it_was_made_from(role: str, inputs: TrainInputs, tmp_path: Path) -> None:
    plan = make_plan(role)
    train(plan, inputs, out_dir=tmp_path / "out", state_dir=tmp_path / "state")
    model, config = CHECKPOINTS[role](tmp_path / "out")
    assert not model.training
    assert config.component == plan.chosen.component.model_dump(mode="json")
    assert config.fingerprint == FINGERPRINT
    assert (config.dims.feature_dim, config.dims.num_places, config.dims.text_dim) == (8, 4, 8)


def test_metrics_are_those_of_the_best_epoch_of_the_curve(inputs: TrainInputs, tmp_path: Path) -> None:
    result = train(make_plan("localizer"), inputs, out_dir=tmp_path / "out", state_dir=tmp_path / "state")
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert metrics["val/mIoU"] == max(row["val/mIoU"] for row in result.curve)
    assert metrics["epochs"] == len(result.curve) == 3
    assert (tmp_path / "out" / "curves.csv").read_text().splitlines()[0].startswith("epoch,train/loss,val/mIoU,val/R1_iou0.3")


def test_patience_ends_a_training_that_does_not_improve(inputs: TrainInputs, tmp_path: Path) -> None:
    plan = make_plan("localizer", max_epochs=30)
    values = plan.chosen.training.model_dump() | {"patience_epochs": 1, "optimizer": {"learning_rate": 1e-12}}
    chosen = TrainedComponent(plan.chosen.component, plan.chosen.losses, TrainingParams.model_validate(values))
    result = train(TrainPlan("localizer", chosen, 0), inputs, out_dir=tmp_path / "out", state_dir=tmp_path / "state")
    assert len(result.curve) < 30


def test_without_validation_queries_the_last_epoch_is_kept_with_a_warning(tmp_path: Path) -> None:
    write_inputs(tmp_path, make_corpus(num_validation=0))
    with pytest.warns(UserWarning, match="no query in the split 'val': the last epoch is kept"):
        result = train(make_plan("localizer"), load_inputs(tmp_path), out_dir=tmp_path / "out", state_dir=tmp_path / "state")
    assert result.best["epoch"] == 2


def test_a_corpus_without_training_queries_is_refused(tmp_path: Path) -> None:
    write_inputs(tmp_path, make_corpus(num_train=0))
    with pytest.raises(ValueError, match="no query in the split 'train'; add videos or lower ingest.test_share"):
        load_inputs(tmp_path)


def test_features_of_other_encoders_are_refused(inputs: TrainInputs) -> None:
    other = inputs.encoders._replace(fingerprint=Fingerprint({"weights": "others"}, {}))
    with pytest.raises(FingerprintMismatchError, match="weights: expected others, found synthetic"):
        TrainInputs(inputs.corpus, inputs.store, other)


def test_a_loss_that_is_not_finite_stops_the_training_and_names_the_remedy(inputs: TrainInputs, tmp_path: Path) -> None:
    plan = make_plan("localizer", max_epochs=20)
    values = plan.chosen.training.model_dump() | {"gradient_clip_norm": 1e30, "optimizer": {"learning_rate": 1e30}}
    chosen = TrainedComponent(plan.chosen.component, plan.chosen.losses, TrainingParams.model_validate(values))
    with pytest.raises(ValueError, match=r"the loss is \w+ in epoch \d+ at batch \d+ .*lower training.optimizer.learning_rate"):
        train(TrainPlan("localizer", chosen, 0), inputs, out_dir=tmp_path / "out", state_dir=tmp_path / "state")


def interrupt_after(epoch: int) -> Any:
    def report(row: dict[str, float]) -> None:
        if row["epoch"] == epoch:
            raise KeyboardInterrupt

    return report


def train_in_two_parts(role: str, inputs: TrainInputs, tmp_path: Path, *, damage: int) -> None:
    """Stop in the third epoch, cut the newest `damage` checkpoints short, and go on."""
    state_dir = tmp_path / "state-resumed"
    plan = make_plan(role, max_epochs=4)
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        train(plan, inputs, out_dir=tmp_path / "resumed", state_dir=state_dir, report=interrupt_after(2))
    checkpoints = sorted(state_dir.glob("*.ckpt"))
    assert len(checkpoints) == 2
    for path in checkpoints[2 - damage :]:
        os.truncate(path, path.stat().st_size // 2)
    train(plan, inputs, out_dir=tmp_path / "resumed", state_dir=state_dir)


@pytest.mark.parametrize("role", ["retriever", "localizer", "blind"])
def test_a_training_that_was_stopped_goes_on_and_ends_with_the_same_bytes(role: str, inputs: TrainInputs, tmp_path: Path) -> None:
    train(make_plan(role, max_epochs=4), inputs, out_dir=tmp_path / "whole", state_dir=tmp_path / "state-whole")
    train_in_two_parts(role, inputs, tmp_path, damage=0)
    assert read_outputs(tmp_path / "resumed") == read_outputs(tmp_path / "whole")


@pytest.mark.parametrize("damage", [1, 2])
def test_a_damaged_state_falls_back_to_the_one_before_or_to_the_start(damage: int, inputs: TrainInputs, tmp_path: Path) -> None:
    train(make_plan("blind", max_epochs=4), inputs, out_dir=tmp_path / "whole", state_dir=tmp_path / "state-whole")
    with pytest.warns(UserWarning, match=r"\.ckpt is damaged .*; going on from the epoch before"):
        train_in_two_parts("blind", inputs, tmp_path, damage=damage)
    assert read_outputs(tmp_path / "resumed") == read_outputs(tmp_path / "whole")


@pytest.mark.slow
def test_the_state_is_removed_when_the_result_is_written(inputs: TrainInputs, tmp_path: Path) -> None:
    train_tracked(make_plan("blind"), inputs, out_dir=tmp_path / "out", cache_dir=tmp_path / "cache", tags={})
    assert list((tmp_path / "cache" / "training").iterdir()) == []
    assert json.loads((tmp_path / "out" / "run.json").read_text())["run_id"]


@pytest.mark.parametrize("arguments", [[], ["localiser"], ["blind", "localizer"]])
def test_a_wrong_role_is_answered_with_the_roles(arguments: list[str]) -> None:
    given = " ".join(arguments) or "nothing"
    with pytest.raises(ValueError, match=f"train needs one role of retriever, localizer, blind, got {given}; run: python -m"):
        read_role(arguments)


KILLED = """
import importlib.util, sys, time, warnings
from pathlib import Path
spec = importlib.util.spec_from_file_location("test_train", sys.argv[1])
tests = importlib.util.module_from_spec(spec)
spec.loader.exec_module(tests)
folder = Path(sys.argv[2])
tests.torch.set_num_threads(1)
from stages.support import role_training
original = role_training.TrackedRun.log
def log_slowly(self, step, values):
    original(self, step, values)
    print("epoch", step, flush=True)
    time.sleep(float(sys.argv[3]))
role_training.TrackedRun.log = log_slowly
tests.train_tracked(
    tests.make_plan("localizer", max_epochs=5), tests.load_inputs(folder),
    out_dir=folder / "killed", cache_dir=folder / "cache", tags={},
)
"""


def start_training(folder: Path, pause_s: float) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", KILLED, __file__, str(folder), str(pause_s)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).resolve().parents[2],
    )


@pytest.mark.slow
def test_a_training_killed_with_signal_9_resumes_its_weights_and_its_run(inputs: TrainInputs, tmp_path: Path) -> None:
    train(make_plan("localizer", max_epochs=5), inputs, out_dir=tmp_path / "whole", state_dir=tmp_path / "state-whole")
    with start_training(tmp_path, pause_s=0.5) as process:
        assert process.stdout is not None
        while "epoch 2" not in process.stdout.readline():
            assert process.poll() is None
        time.sleep(0.1)
        process.send_signal(signal.SIGKILL)
    assert not (tmp_path / "killed").exists()
    with start_training(tmp_path, pause_s=0.0) as again:
        output, _ = again.communicate(timeout=120)
    assert again.returncode == 0
    assert "epoch 0" not in output
    assert read_outputs(tmp_path / "killed") == read_outputs(tmp_path / "whole")
    with tracking._open_client() as client:
        (run,) = client.search_runs(["1"])
        history = client.get_metric_history(run.info.run_id, "val/mIoU")
    assert run.info.status == "FINISHED"
    assert [metric.step for metric in history] == [0, 1, 2, 3, 4]
