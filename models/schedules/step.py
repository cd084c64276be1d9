"""Step schedule: multiplies the rate by a factor every few epochs."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, PositiveInt

from models.schedules.base import Course, RateShare, ScheduleParams


class StepShare(RateShare):
    """Staircase share that falls at the end of every `every_epochs`-th epoch, regardless of the steps of an epoch."""

    def __init__(self, course: Course, *, every_epochs: int, factor: float) -> None:
        """Start at the full rate."""
        super().__init__(course)
        self.every_epochs = every_epochs
        self.factor = factor
        self.num_epochs = 0  # that have ended

    def compute_share(self, step: int) -> float:
        """Return the share of the current stair."""
        return float(self.factor ** (self.num_epochs // self.every_epochs))

    def end_epoch(self, row: Mapping[str, float]) -> None:
        """Count the epoch."""
        self.num_epochs += 1


class StepParams(ScheduleParams):
    """Values of `StepShare`."""

    name: Literal["step"]
    every_epochs: PositiveInt = 10
    factor: Annotated[float, Field(gt=0, lt=1)] = 0.1

    def build(self, course: Course) -> StepShare:
        """Return the shares of a course."""
        return StepShare(course, every_epochs=self.every_epochs, factor=self.factor)
