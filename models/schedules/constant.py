"""Constant schedule: the full rate from the warm-up to the end."""

from typing import Literal

from models.schedules.base import Course, RateShare, ScheduleParams


class ConstantShare(RateShare):
    """The full rate at every step."""

    def compute_share(self, step: int) -> float:
        """Return 1."""
        return 1.0


class ConstantParams(ScheduleParams):
    """Empty schema: the constant schedule has no values."""

    name: Literal["constant"]

    def build(self, course: Course) -> ConstantShare:
        """Return the shares of a course."""
        return ConstantShare(course)
