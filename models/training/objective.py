"""Training of video encoders by pretraining objectives."""

from typing import Any, NamedTuple

import numpy as np

from models.losses.base import LossValue
from models.objectives.base import ClipBatch, Objective, ObjectiveTraining
from models.objectives.clips import ClipData
from models.training.learner import Learner, Metrics, Report, average_figures

_TRAINING, _VALIDATION = 0, 1  # second word of the seeds of batches


class ObjectiveBatch(NamedTuple):
    """Clips, and the generator of their augmentation."""

    clips: ClipBatch
    generator: np.random.Generator


class BatchPlan(NamedTuple):
    """The videos of a batch and the seed of its randomness."""

    rows: list[int]
    seed: tuple[int, ...]


class ObjectiveModule(Learner):
    """Training of an objective on the clips of one split, with validation on another; the last epoch is kept."""

    model: Objective
    training_params: ObjectiveTraining

    def __init__(
        self,
        objective: Objective,
        training: ObjectiveTraining,
        *,
        train: ClipData,
        validation: ClipData,
        seed: int,
        report: Report | None = None,
    ) -> None:
        """Store the parts. A resuming process must pass the same videos in the same order.

        Raises:
            ValueError: when the schedule watches the validation split, but validation does not run in every epoch.
        """
        num_epochs = training.count_epochs(len(train.videos))
        super().__init__(objective, training, num_epochs=num_epochs, seed=seed, report=report)
        _require_watchable(training, has_validation=bool(validation.videos))
        self.train_data, self.validation_data = train, validation

    def plan_batches(self, epoch: int) -> list[BatchPlan]:
        """Return the videos of each batch: all videos once, in an order that depends on (seed, epoch)."""
        order = np.random.default_rng([self.seed, _TRAINING, epoch]).permutation(len(self.train_data.videos))
        return self._plan(order.tolist(), (self.seed, _TRAINING, epoch))

    def _plan(self, order: list[int], seed: tuple[int, ...]) -> list[BatchPlan]:
        size = self.training_params.videos_per_batch
        parts = [order[start : start + size] for start in range(0, len(order), size)]
        return [BatchPlan(rows, (*seed, number)) for number, rows in enumerate(parts)]

    def load_batch(self, plan: BatchPlan) -> ObjectiveBatch:
        """Sample the clips of a plan."""
        return self._load(plan, self.train_data)

    def _load(self, plan: BatchPlan, data: ClipData) -> ObjectiveBatch:
        generator = np.random.default_rng(plan.seed)
        clips_per_video = self.training_params.clips_per_video
        return ObjectiveBatch(data.build_batch(plan.rows, clips_per_video=clips_per_video, generator=generator), generator)

    def transfer_batch_to_device(self, batch: ObjectiveBatch, device: Any, dataloader_idx: int) -> ObjectiveBatch:
        """Leave the clips on the CPU, because they are augmented before they become tensors."""
        return batch

    def compute_loss(self, model: Objective, batch: ObjectiveBatch) -> LossValue:
        """Return the objective's loss and figures."""
        step = model(batch.clips, batch.generator)
        return LossValue(step.loss, step.figures)

    def act_after_step(self) -> None:
        """Let the objective act."""
        self.model.act_after_step(self.elapsed_epochs / self.num_epochs)

    def validate(self, model: Objective) -> Metrics:
        """Return the mean figures over the validation videos, with the same clips in every epoch."""
        is_due = (self.epoch + 1) % self.training_params.validation_interval == 0 or self.epoch + 1 == self.num_epochs
        if not is_due or not self.validation_data.videos:
            return {}
        plans = self._plan(list(range(len(self.validation_data.videos))), (self.seed, _VALIDATION))
        steps = [self.compute_loss(model, self._load(plan, self.validation_data)) for plan in plans]
        means = average_figures([{"loss": step.total, **step.parts} for step in steps])
        return {f"val/{name}": value for name, value in means.items()}


def _require_watchable(training: ObjectiveTraining, *, has_validation: bool) -> None:
    schedule = training.schedule
    if not schedule.reads_validation:
        return
    if not (schedule.reads_validation_loss and has_validation and training.validation_interval == 1):
        raise ValueError(
            f"the schedule {schedule.name!r} watches a figure that not every epoch of this pretraining has; "
            "set training.schedule.monitor to train_loss, or to validation_loss with validation videos and "
            "training.validation_interval: 1"
        )
