"""Base of role training: losses over batches of rows, and checks of the figures that a schedule watches."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from models.contracts.batches import Labels, LossContext
from models.losses.base import LearnedGroup, LossValue, WeightedLosses
from models.schedules.plateau import VALIDATION_LOSS
from models.training.learner import Learner, Metrics, Report
from models.training.precision import single_precision, widen
from models.training.schema import TrainingParams, derive_seed


class RoleModule(Learner):
    """Base of all roles. A role implements `build_context`, `choose_rows`, `iterate_validation` and `measure`."""

    monitor: str
    training_params: TrainingParams

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
        """Store the parts.

        Raises:
            ValueError: when the schedule watches a figure that this training cannot measure.
        """
        super().__init__(model, training, num_epochs=training.max_epochs, seed=seed, report=report)
        require_watchable(training, losses, has_validation=validation is not None)
        self.train_data = train
        self.validation_data = validation
        self.losses = losses

    def build_context(self, model: Any, batch: Any, data: Any) -> LossContext:
        """Return the loss context of a model's pass over a batch."""
        raise NotImplementedError

    def iterate_validation(self) -> Iterator[Any]:
        """Yield the batches of the validation split, on the model's device."""
        raise NotImplementedError

    def choose_rows(self, generator: torch.Generator) -> list[Tensor]:
        """Return the rows of each batch of an epoch."""
        raise NotImplementedError

    def measure(self, model: Any) -> Metrics:
        """Return the metrics of a model, in evaluation mode, on the validation split."""
        raise NotImplementedError

    def plan_batches(self, epoch: int) -> list[Tensor]:
        """Return the rows of each batch."""
        return self.choose_rows(torch.Generator().manual_seed(derive_seed(self.seed, "order", epoch)))

    def load_batch(self, plan: Tensor) -> Any:
        """Return the batch of some rows."""
        return self.train_data.batch(plan)

    def list_learned(self) -> list[LearnedGroup]:
        """Return the parameters of the losses."""
        return self.losses.list_learned()

    def collect_reports(self) -> dict[str, float]:
        """Return the figures tracked by the losses."""
        return self.losses.collect_reports()

    def compute_loss(self, model: Any, batch: Any) -> LossValue:
        """Return the weighted loss, and its parts if there are several."""
        value = self._compute_losses(model, batch, self.train_data)
        return value if len(value.parts) > 1 else value._replace(parts={})

    def _compute_losses(self, model: Any, batch: Any, data: Any) -> LossValue:
        context = replace(self.build_context(model, batch, data), epoch=self.elapsed_epochs)
        with single_precision(self.device):
            value: LossValue = self.losses(widen(context))
        return value

    def validate(self, model: Any) -> Metrics:
        """Return the metrics, and the loss if the schedule watches it."""
        metrics = self.measure(model)
        if not self.training_params.schedule.reads_validation_loss:
            return metrics
        return {VALIDATION_LOSS: self._measure_loss(model), **metrics}

    def _measure_loss(self, model: Any) -> float:
        """Return the mean loss over the batches of the validation split."""
        self.losses.eval()
        batches = self.iterate_validation()
        totals = [self._compute_losses(model, batch, self.validation_data).total.double() for batch in batches]
        self.losses.collect_reports()  # drops figures of validation, which must not enter those of training
        self.losses.train()
        return torch.stack(totals).mean().item()


def require_watchable(training: TrainingParams, losses: WeightedLosses, *, has_validation: bool) -> None:
    """Refuse a schedule that watches a figure the training does not measure.

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
    """Select the classes of some queries (B,), on their device, from the classes of a split."""
    return Labels(*(part[rows.cpu()].to(rows.device) for part in labels))
