"""Cosine schedule: from the full rate after the warm-up down to 0 at the end."""

import math
from typing import Literal

from models.schedules.base import Course, RateShare, ScheduleParams


class CosineShare(RateShare):
    """Half a cosine over the steps after the warm-up. Source: Loshchilov and Hutter 2017 (arXiv:1608.03983), without restarts."""

    def __init__(self, course: Course) -> None:
        """Store the length of a course."""
        super().__init__(course)
        self.num_steps = course.num_steps

    def compute_share(self, step: int) -> float:
        """Return a share that falls from 1 to 0."""
        progress = min(1.0, (step - self.num_warmup) / max(1, self.num_steps - self.num_warmup))
        return (1 + math.cos(math.pi * progress)) / 2


class CosineParams(ScheduleParams):
    """Empty schema: the cosine schedule has no values."""

    name: Literal["cosine"] = "cosine"

    def build(self, course: Course) -> CosineShare:
        """Return the shares of a course."""
        return CosineShare(course)
