"""The full rate from the warm-up to the end."""

from typing import Literal

from models.schedules.base import Course, RateShare, ScheduleParams


class ConstantShare(RateShare):
    """Always the full rate."""

    def compute_share(self, step: int) -> float:
        """Return 1."""
        return 1.0


class ConstantParams(ScheduleParams):
    """The constant rate has no values."""

    name: Literal["constant"]

    def build(self, course: Course) -> ConstantShare:
        """Return the shares of a course."""
        return ConstantShare(course)
