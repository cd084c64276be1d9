"""The training loop of every role: Lightning runs it, an epoch can be resumed bit for bit, validation chooses the weights."""

import logging
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytorch_lightning as L
import torch
from pytorch_lightning.callbacks import ModelCheckpoint

from models.training.checkpoint_files import WholeCheckpointIO
from models.training.precision import require_device
from models.training.role_module import Metrics, RoleModule
from models.training.schema import TrainingParams


class FitResult(NamedTuple):
    """A finished training; the module's model holds the best epoch's weights."""

    curve: list[Metrics]  # one row an epoch: epoch, train/loss, val/...
    best: Metrics  # the row of the epoch that was kept


def fit(module: RoleModule, *, state_dir: Path, device: torch.device, show_progress: bool = False) -> FitResult:
    """Train a module, going on from the newest checkpoint of `state_dir` that is whole, and load its best weights.

    The state of the last two epochs is kept in `state_dir`; the caller removes the folder when its result is safe.

    Raises:
        ValueError: when the device cannot train in the chosen precision, or the loss is not finite.
    """
    require_device(module.training_params.precision, device)
    with _hush_lightning():
        trainer = _build_trainer(module.training_params, state_dir, device, show_progress)
        trainer.fit(module, ckpt_path=find_last_checkpoint(state_dir), weights_only=True)
    module.model.load_state_dict(module.best_state)
    module.model.to("cpu").eval()
    return FitResult(module.curve, module.best)


@contextmanager
def _hush_lightning() -> Iterator[None]:
    """Hide Lightning's advice and two warnings that describe what is meant: resuming, and its own deprecated calls."""
    for name in ("pytorch_lightning", "lightning_fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Checkpoint directory .* exists and is not empty")
        warnings.filterwarnings("ignore", message=".*LeafSpec.* is deprecated")
        yield


def _build_trainer(training: TrainingParams, state_dir: Path, device: torch.device, show_progress: bool) -> L.Trainer:
    on_gpu = device.type == "cuda"
    return L.Trainer(
        max_epochs=training.max_epochs,
        accelerator="gpu" if on_gpu else "cpu",
        devices=[device.index or 0] if on_gpu else 1,
        deterministic="warn" if on_gpu else True,  # cumulative sums have no deterministic form on GPUs
        precision=training.precision,
        accumulate_grad_batches=training.accumulate_batches,
        gradient_clip_val=training.gradient_clip_norm,
        logger=False,
        enable_model_summary=False,
        enable_progress_bar=show_progress,
        log_every_n_steps=1,
        callbacks=[_build_checkpointing(state_dir)],
        plugins=[WholeCheckpointIO()],
    )


def _build_checkpointing(state_dir: Path) -> ModelCheckpoint:
    """Keep the states of the two newest epochs."""
    return ModelCheckpoint(
        dirpath=state_dir,
        filename="{epoch:05d}",
        auto_insert_metric_name=False,
        monitor="epoch",
        mode="max",
        save_top_k=2,
        save_on_train_epoch_end=True,
        enable_version_counter=False,
    )


def find_last_checkpoint(state_dir: Path) -> Path | None:
    """Return the newest checkpoint whose bytes are whole; damaged ones are removed with a warning, none gives None."""
    for path in sorted(state_dir.glob("*.ckpt"), reverse=True):
        problem = _find_damage(path)
        if problem is None:
            return path
        warnings.warn(f"{path} is damaged ({problem}); going on from the epoch before", stacklevel=2)
        path.unlink()
    return None


def _find_damage(path: Path) -> str | None:
    try:
        with zipfile.ZipFile(path) as archive:
            bad = archive.testzip()
    except (zipfile.BadZipFile, EOFError) as error:
        return str(error)
    return f"checksum of {bad}" if bad else None
