"""The training loop of every role: Lightning runs it, an epoch can be resumed bit for bit, validation chooses the weights."""

import copy
import logging
import math
import warnings
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytorch_lightning as L
import torch
from pytorch_lightning.callbacks import ModelCheckpoint
from torch import Tensor, nn

from models.exchange.batches import Labels
from models.losses.base import LossValue, WeightedLosses
from models.training.checkpoint_files import WholeCheckpointIO
from models.training.schema import TrainingParams, compute_rate_share, derive_seed

Metrics = dict[str, float]
Report = Callable[[Metrics], None]


class EpochBatches:
    """The batches of one epoch as a data loader: `load` makes the batch of some rows."""

    def __init__(self, choose: Callable[[], Sequence[Tensor]], load: Callable[[Tensor], Any]) -> None:
        """Store how rows are chosen at the start of an epoch and how a batch is loaded."""
        self._choose = choose
        self._load = load

    def __iter__(self) -> Iterator[Any]:
        """Choose the epoch's batches and load them one after another."""
        return map(self._load, self._choose())


class RoleModule(L.LightningModule):
    """What all roles share: optimizer, averaged weights, seeds of an epoch, and the best epoch by a validation metric.

    A role gives `compute_loss`, `load_batch`, `choose_rows` and `validate`. All randomness of an epoch is seeded by
    (seed, epoch), so an epoch that is run again after a crash is the same. Validation runs over the whole split at the
    end of an epoch, with the averaged weights where there are any.
    """

    monitor: str  # the validation metric that chooses the epoch, higher is better

    def __init__(
        self,
        model: nn.Module,
        losses: WeightedLosses,
        training: TrainingParams,
        *,
        seed: int,
        report: Report | None = None,
    ) -> None:
        """Store the parts; the optimizer is built when the trainer asks for it. `report` gets each epoch's row."""
        super().__init__()
        self.model = model
        self.losses = losses
        self.average = copy.deepcopy(model).requires_grad_(False) if training.ema_decay else None
        self.training_params = training
        self.seed = seed
        self.report = report
        self.curve: list[Metrics] = []  # one row an epoch
        self.best_state: dict[str, Tensor] = {}
        self._steps: list[dict[str, Tensor]] = []  # of this epoch: the loss, and its parts where there are several

    def compute_loss(self, batch: Any) -> LossValue:
        """Return the loss of a batch."""
        raise NotImplementedError

    def load_batch(self, rows: Tensor) -> Any:
        """Return the training batch of some rows."""
        raise NotImplementedError

    def choose_rows(self, generator: torch.Generator) -> list[Tensor]:
        """Return the rows of each batch of an epoch."""
        raise NotImplementedError

    def validate(self, model: nn.Module) -> Metrics:
        """Return the metrics of a model, in evaluation mode, on the validation split."""
        raise NotImplementedError

    @property
    def epoch(self) -> int:
        """The epoch that is running, from 0: Lightning's own count is one behind while it sets up a resumed training."""
        return len(self.curve)

    @property
    def best(self) -> Metrics:
        """The curve's row of the best epoch, the earliest of equal ones; without validation, the last."""
        if self.monitor not in self.curve[-1]:
            return self.curve[-1]
        return max(self.curve, key=lambda row: row[self.monitor])

    def train_dataloader(self) -> EpochBatches:
        """Return batches whose order depends on (seed, epoch)."""
        return EpochBatches(self._choose_epoch_rows, self.load_batch)

    def _choose_epoch_rows(self) -> list[Tensor]:
        generator = torch.Generator().manual_seed(derive_seed(self.seed, "order", self.epoch))
        return self.choose_rows(generator)

    def configure_optimizers(self) -> Any:
        """Return AdamW, matrices with weight decay and vectors without, and its warm-up and cosine."""
        chosen = self.training_params.optimizer
        parameters = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        groups = [
            {"params": [p for p in parameters if p.ndim > 1], "weight_decay": chosen.weight_decay},
            {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
        ]
        groups += [{"params": own, "lr": rate, "weight_decay": 0.0} for own, rate in self.losses.list_learned()]
        optimizer = torch.optim.AdamW(groups, lr=chosen.learning_rate)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": self._build_schedule(optimizer), "interval": "step"}}

    def _build_schedule(self, optimizer: torch.optim.Optimizer) -> torch.optim.lr_scheduler.LambdaLR:
        steps_per_epoch = len(self._choose_epoch_rows())
        num_steps = steps_per_epoch * self.training_params.max_epochs
        warmup_share = self.training_params.warmup_share
        return torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: compute_rate_share(step, num_steps=num_steps, warmup_share=warmup_share)
        )

    def on_train_start(self) -> None:
        """Stop at once when a resumed training had already lost its patience."""
        self._stop_when_out_of_patience()

    def on_train_epoch_start(self) -> None:
        """Seed everything random of this epoch (dropout)."""
        torch.manual_seed(derive_seed(self.seed, "epoch", self.epoch))
        self._steps = []

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """Return the loss of one batch.

        Raises:
            ValueError: when the loss is not finite, naming epoch, step and parts.
        """
        value = self.compute_loss(batch)
        loss = value.total.detach()
        if not math.isfinite(loss.item()):
            parts = ", ".join(f"{name}={part.item()}" for name, part in value.parts.items())
            raise ValueError(
                f"the loss is {loss.item()} in epoch {self.epoch} at batch {batch_idx} ({parts}); "
                "lower training.optimizer.learning_rate or training.gradient_clip_norm"
            )
        terms = {name: part.detach() for name, part in value.parts.items()} if len(value.parts) > 1 else {}
        self._steps.append({"loss": loss, **terms})
        return value.total

    def on_train_batch_end(self, *_: Any) -> None:
        """Move the averaged weights towards the present ones; early steps count more, so the start is forgotten."""
        if self.average is None:
            return
        decay = min(self.training_params.ema_decay, (1 + self.global_step) / (10 + self.global_step))
        with torch.no_grad():
            for averaged, present in zip(self.average.parameters(), self.model.parameters(), strict=True):
                averaged.lerp_(present, 1 - decay)
            for kept, buffer in zip(self.average.buffers(), self.model.buffers(), strict=True):
                kept.copy_(buffer)

    def on_train_epoch_end(self) -> None:
        """Validate, add a row to the curve, keep the weights when they are the best so far."""
        model = self.average if self.average is not None else self.model
        model.eval()
        with torch.no_grad():
            metrics = self.validate(model)
        model.train()
        row = {**self._summarize_steps(), **metrics}
        self.curve.append({"epoch": float(self.epoch), **row})
        if self.best is self.curve[-1]:
            self.best_state = {name: tensor.detach().cpu().clone() for name, tensor in model.state_dict().items()}
        self.log("train/loss", row["train/loss"], prog_bar=True)
        if self.monitor in row:
            self.log(self.monitor, row[self.monitor], prog_bar=True)
        if self.report is not None:
            self.report(self.curve[-1])
        self._stop_when_out_of_patience()

    def _summarize_steps(self) -> Metrics:
        """Return the epoch's mean loss, the means of its parts, and what the terms tracked."""
        means = {name: torch.stack([step[name] for step in self._steps]).double().mean().item() for name in self._steps[0]}
        return {f"train/{name}": value for name, value in {**means, **self.losses.collect_reports()}.items()}

    def _stop_when_out_of_patience(self) -> None:
        patience = self.training_params.patience_epochs
        if self.curve and patience and self.curve[-1]["epoch"] - self.best["epoch"] >= patience:
            self.trainer.should_stop = True

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the curve and the best weights, all plain values and tensors."""
        checkpoint["cuepoint"] = {"curve": self.curve, "best_state": self.best_state}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take the curve and the best weights back."""
        self.curve = checkpoint["cuepoint"]["curve"]
        self.best_state = checkpoint["cuepoint"]["best_state"]


class FitResult(NamedTuple):
    """A finished training; the module's model holds the best epoch's weights."""

    curve: list[Metrics]  # one row an epoch: epoch, train/loss, val/...
    best: Metrics  # the row of the epoch that was kept


def select_labels(labels: Labels, rows: Tensor) -> Labels:
    """Return the classes of some queries (B,), on their device, from those of a split."""
    return Labels(*(part[rows.cpu()].to(rows.device) for part in labels))


def fit(module: RoleModule, *, state_dir: Path, device: torch.device, show_progress: bool = False) -> FitResult:
    """Train a module, going on from the newest checkpoint of `state_dir` that is whole, and load its best weights.

    The state of the last two epochs is kept in `state_dir`; the caller removes the folder when its result is safe.
    """
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
