"""Interface of learning-rate schedules: a fraction of the rate for every optimizer step, after a common warm-up."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import NamedTuple

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from corpus.params import Params


class Course(NamedTuple):
    """The length of a training in optimizer steps, and the validation metric that selects its epoch."""

    num_steps: int
    num_warmup: int
    metric: str  # column of the curve; higher is better


class RateShare(ABC):
    """Fraction of the learning rate at each optimizer step, the same for all groups of an optimizer.

    Its attributes are plain numbers and strings, which are saved and resumed with the training.
    """

    def __init__(self, course: Course) -> None:
        """Warm up for the first steps of a course."""
        self.num_warmup = course.num_warmup

    def __call__(self, step: int) -> float:
        """Return the share of a step, counted from 0: a linear warm-up from above 0 to 1, then the schedule's own share."""
        if step < self.num_warmup:
            return (step + 1) / self.num_warmup
        return self.compute_share(step)

    @abstractmethod
    def compute_share(self, step: int) -> float:
        """Return the share of a step after the warm-up."""

    def end_epoch(self, row: Mapping[str, float]) -> None:  # noqa: B027 - most schedules ignore epochs
        """Read the row of an epoch in the curve."""


class ScheduleParams(Params, ABC):
    """Schema shared by all schedules."""

    @property
    def reads_validation_loss(self) -> bool:
        """Whether the curve must hold `val/loss`."""
        return False

    @property
    def reads_validation(self) -> bool:
        """Whether the schedule needs validation queries."""
        return False

    @abstractmethod
    def build(self, course: Course) -> RateShare:
        """Return the shares of a course."""


class RateScheduler(LambdaLR):
    """Scheduler that sets the rates of all optimizer groups by one `RateShare`, per step and at the end of an epoch."""

    def __init__(self, optimizer: Optimizer, share: RateShare) -> None:
        """Set the rate of the first step."""
        super().__init__(optimizer, share)

    def end_epoch(self, row: Mapping[str, float]) -> None:
        """Pass the row of an epoch to the share, and update the rates of the next step."""
        share = self.lr_lambdas[0]
        assert isinstance(share, RateShare)
        share.end_epoch(row)
        for group, rate in zip(self.optimizer.param_groups, self.base_lrs, strict=True):
            group["lr"] = rate * share(self.last_epoch)
