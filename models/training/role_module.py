"""What all roles share in training: optimizer and schedule, averaged weights, seeds of an epoch, and the choice of an epoch."""

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytorch_lightning as L
import torch
from torch import Tensor, nn

from models.exchange.batches import Labels, LossContext
from models.losses.base import LossValue, WeightedLosses
from models.optimizers.base import Trainees
from models.schedules.base import Course, RateScheduler
from models.schedules.plateau import VALIDATION_LOSS
from models.training.precision import single_precision, widen
from models.training.schema import TrainingParams, derive_seed

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

    A role gives `build_context`, `choose_rows`, `iterate_validation` and `validate`. All randomness of an epoch is seeded by
    (seed, epoch), so an epoch that is run again after a crash is the same. Validation runs over the whole split at the end of
    an epoch, with the averaged weights where there are any.
    """

    monitor: str  # the validation metric that chooses the epoch, higher is better

    def __init__(
        self,
        model: nn.Module,
        losses: WeightedLosses,
        training: TrainingParams,
        *,
        train: Any,
        validation: Any | None,
        seed: int,
        report: Report | None = None,
    ) -> None:
        """Store the parts; the optimizer is built when the trainer asks for it. `report` gets each epoch's row.

        Raises:
            ValueError: when the schedule watches what this training cannot measure.
        """
        super().__init__()
        require_watchable(training, losses, has_validation=validation is not None)
        self.model = model
        self.train_data = train
        self.validation_data = validation
        self.losses = losses
        self.average = copy.deepcopy(model).requires_grad_(False) if training.ema_decay else None
        self.training_params = training
        self.seed = seed
        self.report = report
        self.curve: list[Metrics] = []  # one row an epoch
        self.best_state: dict[str, Tensor] = {}
        self._steps: list[dict[str, Tensor]] = []  # of this epoch: the loss, and its parts where there are several
        self._num_batches = 0  # of this epoch
        self._num_done = 0  # batches of this epoch

    def build_context(self, model: Any, batch: Any, data: Any) -> LossContext:
        """Return what the losses may read of a model's pass over a batch of some data."""
        raise NotImplementedError

    def iterate_validation(self) -> Iterator[Any]:
        """Yield the batches of the validation split, on the model's device."""
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
    def elapsed_epochs(self) -> float:
        """The epochs of training done, with the share of the one that is running."""
        return self.epoch + (self._num_done / self._num_batches if self._num_batches else 0.0)

    @property
    def best(self) -> Metrics:
        """The curve's row of the best epoch, the earliest of equal ones; without validation, the last."""
        if self.monitor not in self.curve[-1]:
            return self.curve[-1]
        return max(self.curve, key=lambda row: row[self.monitor])

    def train_dataloader(self) -> EpochBatches:
        """Return batches whose order depends on (seed, epoch)."""
        return EpochBatches(self._start_epoch_rows, self.train_data.batch)

    def _start_epoch_rows(self) -> list[Tensor]:
        rows = self._choose_epoch_rows(self.epoch)
        self._num_batches, self._num_done = len(rows), 0
        return rows

    def _choose_epoch_rows(self, epoch: int) -> list[Tensor]:
        return self.choose_rows(torch.Generator().manual_seed(derive_seed(self.seed, "order", epoch)))

    def configure_optimizers(self) -> Any:
        """Return the chosen optimizer, and its schedule over the steps of as many epochs as the first one.

        Epochs may differ by a few steps where batches are of a few videos each.
        """
        training = self.training_params
        steps_per_epoch = math.ceil(len(self._choose_epoch_rows(0)) / training.accumulate_batches)
        num_steps = steps_per_epoch * training.max_epochs
        parameters = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        optimizer = training.optimizer.build(Trainees(parameters, self.losses.list_learned(), steps_per_epoch))
        course = Course(num_steps, num_warmup=round(num_steps * training.warmup_share), metric=self.monitor)
        scheduler = RateScheduler(optimizer, training.schedule.build(course))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

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
        value = self._compute_loss(self.model, batch, self.train_data)
        loss = value.total.detach()
        if not math.isfinite(loss.item()):
            parts = ", ".join(f"{name}={part.item()}" for name, part in value.parts.items())
            raise ValueError(
                f"the loss is {loss.item()} in epoch {self.epoch} at batch {batch_idx} ({parts}); "
                f"lower {self.training_params.optimizer.remedy} or training.gradient_clip_norm"
            )
        terms = {name: part.detach() for name, part in value.parts.items()} if len(value.parts) > 1 else {}
        self._steps.append({"loss": loss, **terms})
        self._num_done += 1
        return value.total * self._compute_group_share(batch_idx)

    def _compute_loss(self, model: nn.Module, batch: Any, data: Any) -> LossValue:
        context = replace(self.build_context(model, batch, data), epoch=self.elapsed_epochs)
        with single_precision(self.device):
            value: LossValue = self.losses(widen(context))
        return value

    def _compute_group_share(self, batch_idx: int) -> float:
        """Return what a batch's loss is multiplied by: more than 1 in an epoch's last group of batches where that is short.

        Lightning divides every loss by `accumulate_batches`; so the gradient is the mean of a short group as well.
        """
        size = self.training_params.accumulate_batches
        first = batch_idx - batch_idx % size
        return size / min(size, self._num_batches - first)

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        """After an optimizer step, move the averaged weights towards the present ones.

        Early steps count more, so the start is forgotten.
        """
        is_step = (batch_idx + 1) % self.training_params.accumulate_batches == 0 or batch_idx + 1 == self._num_batches
        if self.average is None or not is_step:
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
        row = {**self._summarize_steps(), **self._validate(model)}
        self.curve.append({"epoch": float(self.epoch), **row})
        if self.best is self.curve[-1]:
            self.best_state = {name: tensor.detach().cpu().clone() for name, tensor in model.state_dict().items()}
        self.log("train/loss", row["train/loss"], prog_bar=True)
        if self.monitor in row:
            self.log(self.monitor, row[self.monitor], prog_bar=True)
        scheduler = self.lr_schedulers()
        assert isinstance(scheduler, RateScheduler)
        scheduler.end_epoch(row)
        if self.report is not None:
            self.report(self.curve[-1])
        self._stop_when_out_of_patience()

    @torch.no_grad()
    def _validate(self, model: nn.Module) -> Metrics:
        model.eval()
        metrics = self.validate(model)
        if self.training_params.schedule.reads_validation_loss:
            metrics = {VALIDATION_LOSS: self._measure_loss(model), **metrics}
        model.train()
        return metrics

    def _measure_loss(self, model: nn.Module) -> float:
        """Return the mean loss over the batches of the validation split."""
        self.losses.eval()
        totals = [self._compute_loss(model, batch, self.validation_data).total.double() for batch in self.iterate_validation()]
        self.losses.collect_reports()  # of validation: not the training's
        self.losses.train()
        return torch.stack(totals).mean().item()

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


def require_watchable(training: TrainingParams, losses: WeightedLosses, *, has_validation: bool) -> None:
    """Refuse a schedule that watches what a training does not measure.

    Raises:
        ValueError: naming the schedule and the remedy.
    """
    schedule = training.schedule
    if schedule.reads_validation and not has_validation:
        raise ValueError(
            f"the schedule {schedule.name!r} watches the validation split, but the corpus has no query in the split 'val'; "
            "set training.schedule.monitor to train_loss or choose another schedule"
        )
    if schedule.reads_validation_loss and losses.list_learned():
        raise ValueError(
            f"the schedule {schedule.name!r} watches the validation loss, but a loss learns classes of training queries, "
            "which others do not have; set training.schedule.monitor to metric"
        )


def select_labels(labels: Labels, rows: Tensor) -> Labels:
    """Return the classes of some queries (B,), on their device, from those of a split."""
    return Labels(*(part[rows.cpu()].to(rows.device) for part in labels))
