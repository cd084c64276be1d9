"""Training loop of roles and pretraining objectives on Lightning, with bit-exact resume at epochs."""

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
from models.training.learner import Learner, Metrics
from models.training.precision import require_device


class FitResult(NamedTuple):
    """A finished training; the model of the module holds the weights of the best epoch."""

    curve: list[Metrics]  # one row per epoch: epoch, train/loss, val/...
    best: Metrics  # the row of the kept epoch


def fit(module: Learner, *, state_dir: Path, device: torch.device, show_progress: bool = False) -> FitResult:
    """Train a module, resume from the newest intact checkpoint in `state_dir`, and load the best weights.

    `state_dir` keeps the state of the last two epochs; the caller removes it when the result is saved.

    Raises:
        ValueError: when the device cannot train in the chosen precision, or the loss is not finite.
    """
    require_device(module.training_params.precision, device)
    with _hush_lightning():
        trainer = _build_trainer(module, state_dir, device, show_progress)
        trainer.fit(module, ckpt_path=find_last_checkpoint(state_dir), weights_only=True)
    module.model.load_state_dict(module.best_state)
    module.model.to("cpu").eval()
    return FitResult(module.curve, module.best)


@contextmanager
def _hush_lightning() -> Iterator[None]:
    """Hide Lightning's tips and its warnings about intended behaviour: resume, frozen parts, its own deprecated calls."""
    for name in ("pytorch_lightning", "lightning_fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Checkpoint directory .* exists and is not empty")
        warnings.filterwarnings("ignore", message="Found .* in eval mode at the start of training")
        warnings.filterwarnings("ignore", message=".*LeafSpec.* is deprecated")
        yield


def _build_trainer(module: Learner, state_dir: Path, device: torch.device, show_progress: bool) -> L.Trainer:
    training = module.training_params
    on_gpu = device.type == "cuda"
    return L.Trainer(
        max_epochs=module.num_epochs,
        accelerator="gpu" if on_gpu else "cpu",
        devices=[device.index or 0] if on_gpu else 1,
        deterministic="warn" if on_gpu else True,  # cumulative sums have no deterministic implementation on GPUs
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
    """Return the newest intact checkpoint or None; remove damaged ones with a warning."""
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
