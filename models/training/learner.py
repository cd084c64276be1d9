"""Base of all trainings: optimizer, schedule, averaged weights, epoch seeds, curve, and selection of the best epoch."""

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytorch_lightning as L
import torch
from torch import Tensor, nn

from models.losses.base import LearnedGroup, LossValue
from models.optimizers.base import Trainees
from models.schedules.base import Course, RateScheduler
from models.training.schema import LoopParams, derive_seed

Metrics = dict[str, float]
Report = Callable[[Metrics], None]


class EpochBatches:
    """Data loader of one epoch: `load` makes a batch from its plan."""

    def __init__(self, plan: Callable[[], Sequence[Any]], load: Callable[[Any], Any]) -> None:
        """Store the planner of an epoch and the loader of a batch."""
        self._plan = plan
        self._load = load

    def __iter__(self) -> Iterator[Any]:
        """Plan the batches of the epoch and load them one by one."""
        return map(self._load, self._plan())


class Learner(L.LightningModule):
    """Lightning module of any training: a role with its losses, or encoders with a pretraining objective.

    A subclass implements `plan_batches`, `load_batch`, `compute_loss` and `validate`. (seed, epoch) seeds all randomness of an
    epoch, so an epoch repeated after a crash is the same. Validation follows the last step of an epoch and uses the averaged
    weights, if there are any.
    """

    monitor: str | None = None  # validation metric that selects the epoch, higher is better; None keeps the last epoch

    def __init__(
        self, model: nn.Module, training: LoopParams, *, num_epochs: int, seed: int, report: Report | None = None
    ) -> None:
        """Store the parts; the trainer builds the optimizer later. `report` receives the row of each epoch."""
        super().__init__()
        self.model = model
        self.average = copy.deepcopy(model).requires_grad_(False) if training.ema_decay else None
        self.training_params = training
        self.num_epochs = num_epochs
        self.seed = seed
        self.report = report
        self.curve: list[Metrics] = []  # one row an epoch
        self.best_state: dict[str, Tensor] = {}
        self._steps: list[dict[str, Tensor]] = []  # loss and figures of each batch of this epoch
        self._num_batches = 0  # of this epoch
        self._num_done = 0  # finished batches of this epoch

    def plan_batches(self, epoch: int) -> Sequence[Any]:
        """Return the plan of each batch of an epoch, equal for equal (seed, epoch)."""
        raise NotImplementedError

    def load_batch(self, plan: Any) -> Any:
        """Return the batch of a plan."""
        raise NotImplementedError

    def compute_loss(self, model: Any, batch: Any) -> LossValue:
        """Return the loss of a model on a training batch, and further figures for plots."""
        raise NotImplementedError

    def validate(self, model: Any) -> Metrics:
        """Return the metrics `val/...` of a model, which is in evaluation mode; empty without a validation split."""
        raise NotImplementedError

    def list_learned(self) -> list[LearnedGroup]:
        """Return trainable parameters outside the model, with their own rates."""
        return []

    def collect_reports(self) -> dict[str, float]:
        """Return the figures tracked since the last call."""
        return {}

    def act_after_step(self) -> None:
        """Run actions after an optimizer step, before the average moves."""

    @property
    def epoch(self) -> int:
        """The running epoch, from 0. Lightning's own count lags by one during the set-up of a resumed training."""
        return len(self.curve)

    @property
    def elapsed_epochs(self) -> float:
        """The finished epochs, with the fraction of the running one."""
        return self.epoch + (self._num_done / self._num_batches if self._num_batches else 0.0)

    @property
    def best(self) -> Metrics:
        """The row of the best epoch, ties going to the earliest; the last row without a `monitor`."""
        monitor = self.monitor
        if monitor is None or monitor not in self.curve[-1]:
            return self.curve[-1]
        return max(self.curve, key=lambda row: row[monitor])

    def train_dataloader(self) -> EpochBatches:
        """Return batches that depend on (seed, epoch)."""
        return EpochBatches(self._start_epoch, self.load_batch)

    def _start_epoch(self) -> Sequence[Any]:
        plans = self.plan_batches(self.epoch)
        self._num_batches, self._num_done = len(plans), 0
        return plans

    def configure_optimizers(self) -> Any:
        """Return the chosen optimizer, and its schedule over all epochs, with the step count of the first epoch.

        Epochs may differ by a few steps if batches are drawn from a few videos each.
        """
        training = self.training_params
        steps_per_epoch = math.ceil(len(self.plan_batches(0)) / training.accumulate_batches)
        num_steps = steps_per_epoch * self.num_epochs
        parameters = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        optimizer = training.optimizer.build(Trainees(parameters, self.list_learned(), steps_per_epoch))
        course = Course(num_steps, num_warmup=round(num_steps * training.warmup_share), metric=self.monitor or "")
        scheduler = RateScheduler(optimizer, training.schedule.build(course))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def on_train_start(self) -> None:
        """Stop immediately if a resumed training has already exhausted its patience."""
        self._stop_when_out_of_patience()

    def on_train_epoch_start(self) -> None:
        """Seed torch's global generator for this epoch (dropout)."""
        torch.manual_seed(derive_seed(self.seed, "epoch", self.epoch))
        self._steps = []

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """Return the loss of one batch.

        Raises:
            ValueError: when the loss is not finite, naming epoch, batch and figures.
        """
        value = self.compute_loss(self.model, batch)
        loss = value.total.detach()
        if not math.isfinite(loss.item()):
            parts = ", ".join(f"{name}={part.item()}" for name, part in value.parts.items())
            raise ValueError(
                f"the loss is {loss.item()} in epoch {self.epoch} at batch {batch_idx} ({parts}); "
                f"lower {self.training_params.optimizer.remedy} or training.gradient_clip_norm"
            )
        self._steps.append({"loss": loss, **{name: part.detach() for name, part in value.parts.items()}})
        self._num_done += 1
        return value.total * self._compute_group_share(batch_idx)

    def _compute_group_share(self, batch_idx: int) -> float:
        """Return the loss factor of a batch: above 1 in a short last group of batches of an epoch.

        Lightning divides every loss by `accumulate_batches`, so the factor makes the gradient the mean of a short group too.
        """
        size = self.training_params.accumulate_batches
        first = batch_idx - batch_idx % size
        return size / min(size, self._num_batches - first)

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Run the actions after an optimizer step, and move the averaged weights."""
        if (batch_idx + 1) % self.training_params.accumulate_batches == 0 or batch_idx + 1 == self._num_batches:
            self.act_after_step()
            self._move_average()

    @torch.no_grad()
    def _move_average(self) -> None:
        """Move the averaged weights towards the current ones; early steps count more, so that the start is forgotten."""
        if self.average is None:
            return
        decay = min(self.training_params.ema_decay, (1 + self.global_step) / (10 + self.global_step))
        for averaged, present in zip(self.average.parameters(), self.model.parameters(), strict=True):
            averaged.lerp_(present, 1 - decay)
        for kept, buffer in zip(self.average.buffers(), self.model.buffers(), strict=True):
            kept.copy_(buffer)

    def on_train_epoch_end(self) -> None:
        """Validate, add a row to the curve, and keep the weights if they are the best so far."""
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
        model.train()
        return metrics

    def _summarize_steps(self) -> Metrics:
        """Return the mean loss of the epoch, the means of figures over batches that have them, and the tracked figures."""
        means = average_figures(self._steps)
        return {f"train/{name}": value for name, value in {**means, **self.collect_reports()}.items()}

    def _stop_when_out_of_patience(self) -> None:
        patience = self.training_params.patience_epochs
        if self.curve and patience and self.curve[-1]["epoch"] - self.best["epoch"] >= patience:
            self.trainer.should_stop = True

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the curve and the best weights to the checkpoint, as plain values and tensors."""
        checkpoint["cuepoint"] = {"curve": self.curve, "best_state": self.best_state}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore the curve and the best weights."""
        self.curve = checkpoint["cuepoint"]["curve"]
        self.best_state = checkpoint["cuepoint"]["best_state"]


def average_figures(rows: Sequence[dict[str, Tensor]]) -> Metrics:
    """Return the mean of every figure over the rows that have it, in order of first appearance."""
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: torch.stack([row[name] for row in rows if name in row]).double().mean().item() for name in names}
