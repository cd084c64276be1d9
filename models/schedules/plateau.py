"""Plateau schedule: multiplies the rate by a factor when a figure has not improved for some epochs."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt

from models.schedules.base import Course, RateShare, ScheduleParams

VALIDATION_LOSS, TRAIN_LOSS = "val/loss", "train/loss"


class PlateauShare(RateShare):
    """Share that falls after more than `patience_epochs` epochs without improvement, like torch's `ReduceLROnPlateau`.

    An epoch improves if it beats the best one so far by `min_improvement` of the best value.
    """

    def __init__(
        self, course: Course, *, column: str, factor: float, patience_epochs: int, min_improvement: float, min_share: float
    ) -> None:
        """Watch a column of the curve: losses should fall, other figures should rise."""
        super().__init__(course)
        self.column = column
        self.sign = -1.0 if column in (VALIDATION_LOSS, TRAIN_LOSS) else 1.0
        self.factor, self.patience_epochs = factor, patience_epochs
        self.min_improvement, self.min_share = min_improvement, min_share
        self.share = 1.0
        self.best = float("-inf")  # of sign * figure
        self.num_idle = 0  # consecutive epochs without improvement

    def compute_share(self, step: int) -> float:
        """Return the current share."""
        return self.share

    def end_epoch(self, row: Mapping[str, float]) -> None:
        """Compare an epoch with the best one."""
        figure = self.sign * row[self.column]
        if self.best == float("-inf") or figure > self.best + self.min_improvement * abs(self.best):
            self.best, self.num_idle = figure, 0
            return
        self.num_idle += 1
        if self.num_idle > self.patience_epochs:
            self.share, self.num_idle = max(self.share * self.factor, self.min_share), 0


class PlateauParams(ScheduleParams):
    """Values of `PlateauShare`; `metric` is the metric that selects the epoch: mIoU of localizers, recall of retrievers."""

    name: Literal["plateau"]
    monitor: Literal["metric", "validation_loss", "train_loss"] = "metric"
    factor: Annotated[float, Field(gt=0, lt=1)] = 0.5
    patience_epochs: NonNegativeInt = 2
    min_improvement: NonNegativeFloat = 1e-4  # relative to the best value
    min_share: Annotated[float, Field(ge=0, le=1)] = 0.0  # lower bound, as a fraction of the learning rate

    @property
    def reads_validation_loss(self) -> bool:
        """Whether the schedule watches the validation loss."""
        return self.monitor == "validation_loss"

    @property
    def reads_validation(self) -> bool:
        """Whether the schedule watches anything but the training loss."""
        return self.monitor != "train_loss"

    def build(self, course: Course) -> PlateauShare:
        """Return the shares of a course."""
        columns = {"metric": course.metric, "validation_loss": VALIDATION_LOSS, "train_loss": TRAIN_LOSS}
        return PlateauShare(
            course,
            column=columns[self.monitor],
            factor=self.factor,
            patience_epochs=self.patience_epochs,
            min_improvement=self.min_improvement,
            min_share=self.min_share,
        )
