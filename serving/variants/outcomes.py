"""Outcomes of the latest computations of one variant."""

import math
import time
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

MAX_OUTCOMES = 1000  # more would not change the judgement


class Outcome(NamedTuple):
    """One computation: when it ended, how long it took, whether it failed."""

    time_s: float
    took_s: float
    is_error: bool


class Summary(NamedTuple):
    """The computations of a window."""

    num_requests: int
    error_rate: float  # 0 without requests
    p95_s: float | None  # of requests that did not fail, by nearest rank; None without any


class OutcomeWindow:
    """The latest computations: none older than the window, at most `MAX_OUTCOMES`."""

    def __init__(self, window_s: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Start empty."""
        self._window_s, self._clock = window_s, clock
        self._outcomes: deque[Outcome] = deque(maxlen=MAX_OUTCOMES)

    def add(self, took_s: float, *, is_error: bool) -> None:
        """Note a computation that has just ended."""
        self._outcomes.append(Outcome(self._clock(), took_s, is_error))

    def summarise(self) -> Summary:
        """Forget outcomes older than the window and summarise the rest."""
        oldest_s = self._clock() - self._window_s
        while self._outcomes and self._outcomes[0].time_s < oldest_s:
            self._outcomes.popleft()
        times_s = sorted(outcome.took_s for outcome in self._outcomes if not outcome.is_error)
        count = len(self._outcomes)
        error_rate = (count - len(times_s)) / count if count else 0.0
        return Summary(count, error_rate, times_s[math.ceil(0.95 * len(times_s)) - 1] if times_s else None)
