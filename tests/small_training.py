"""A small synthetic feature store and plans to train each role on it, for tests of training.

This is a module and not a conftest, because processes that a test kills import it too.
"""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from streams import write_store

from corpus.moments import Moment
from corpus.records import Corpus, Query, Video, load_corpus, save_corpus
from corpus.store import FeatureStore, Fingerprint
from corpus.text import Vocabulary
from models.artefacts.encoder_files import Encoders
from models.encoders.text.word_vectors import WordVectorsParams
from models.training.schema import TrainingParams
from pipeline.components.trained import TrainedComponent
from pipeline.training.inputs import TrainInputs
from pipeline.training.role_training import train
from pipeline.training.roles import TrainPlan

ROOT = Path(__file__).resolve().parents[1]
WORDS = ("red", "green", "blue", "circle", "square", "star", "spins", "blinks")
FINGERPRINT = Fingerprint({"arrays": "synthetic"}, {"decoder": "none"})


def make_video(split: str, index: int) -> Video:
    name = f"{split}{index}"
    return Video(
        video_id=name,
        path=f"{name}.mp4",
        split=split,
        duration_s=16.0 + index,
        fps=10.0,
        num_frames=160,
        width=64,
        height=64,
        rotation=0,
        codec="h264",
        has_audio=False,
        sha256="0" * 64,
    )


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
    write_store(folder / "features", {"video": features}, fingerprint=FINGERPRINT, clip_rates_hz={"video": 2.0})


def load_inputs(folder: Path) -> TrainInputs:
    torch.manual_seed(0)
    vocabulary = Vocabulary(WORDS)
    text = WordVectorsParams(name="word_vectors", dim=8).build(len(vocabulary)).eval().requires_grad_(False)
    encoders = Encoders(streams={}, text=text, tokenizer=vocabulary, text_digest="text")  # frames are not encoded here
    return TrainInputs(load_corpus(folder / "corpus"), FeatureStore(folder / "features"), encoders)


def make_plan(role: str, *, seed: int = 0, max_epochs: int = 3) -> TrainPlan:
    """Return a plan of small components; only this function imports the components of a role."""
    from models.blinds.text_only import TextOnlyParams
    from models.localizers.tan2d import Tan2DParams
    from models.losses.info_nce import InfoNCEParams
    from models.losses.iou_bce import IoUBCEParams
    from models.losses.scaled_iou_bce import ScaledIoUBCEParams
    from models.optimizers.adamw import AdamWParams
    from models.retrievers.dual_encoder import DualEncoderParams

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


def read_outputs(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.name != "run.json"}


def replace_training(plan: TrainPlan, **values: Any) -> TrainPlan:
    """Return a plan with some values of its training replaced."""
    training = TrainingParams.model_validate(plan.chosen.require_training().model_dump() | values)
    return replace(plan, chosen=replace(plan.chosen, training=training))


def train_in_two_parts(plan: TrainPlan, inputs: TrainInputs, folder: Path, *, damage: int = 0) -> None:
    """Stop in the third epoch, truncate the newest `damage` checkpoints, and resume; the result is in `resumed`."""
    state_dir = folder / "state-resumed"
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        train(plan, inputs, out_dir=folder / "resumed", state_dir=state_dir, report=_interrupt_third)
    checkpoints = sorted(state_dir.glob("*.ckpt"))
    assert len(checkpoints) == 2
    for path in checkpoints[2 - damage :]:
        os.truncate(path, path.stat().st_size // 2)
    train(plan, inputs, out_dir=folder / "resumed", state_dir=state_dir)


def _interrupt_third(row: dict[str, float]) -> None:
    if row["epoch"] == 2:
        raise KeyboardInterrupt
