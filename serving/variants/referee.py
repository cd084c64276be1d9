"""Removal of a challenger that fails more often than the champion, or takes longer."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from serving.variants.outcomes import OutcomeWindow, Summary


@dataclass(frozen=True, slots=True)
class RollbackLimits:
    """Limits on how much worse than the champion a challenger may be, over a sliding window."""

    min_requests: int  # of the challenger in the window, before it is judged
    window_s: float
    error_margin: float  # of the shares of failed requests
    p95_margin_s: float


class Referee:
    """Compares both variants. Thread-safe."""

    def __init__(self, limits: RollbackLimits, *, allowance: float = 1.0, clock: Callable[[], float] = time.monotonic) -> None:
        """Start with nothing observed.

        `allowance` multiplies the champion's p95 before the margin is added. A challenger on one thread may take longer by
        a factor of the champion's threads.
        """
        self._limits, self._allowance = limits, allowance
        self._lock = threading.Lock()
        self._champion, self._challenger = (OutcomeWindow(limits.window_s, clock=clock) for _ in range(2))

    def observe_champion(self, took_s: float, *, is_error: bool) -> None:
        """Note a computation of the champion."""
        with self._lock:
            self._champion.add(took_s, is_error=is_error)

    def observe_challenger(self, took_s: float, *, is_error: bool) -> str:
        """Note a computation of the challenger; return why it must be removed, empty if it may stay."""
        with self._lock:
            self._challenger.add(took_s, is_error=is_error)
            return self._judge(self._challenger.summarise(), self._champion.summarise())

    def _judge(self, ours: Summary, theirs: Summary) -> str:
        """Compare the challenger (ours) with the champion (theirs). A p95 is compared when both have enough requests."""
        limits = self._limits
        if ours.num_requests < limits.min_requests:
            return ""
        span = f"of its latest {ours.num_requests} requests"
        if ours.error_rate > theirs.error_rate + limits.error_margin:
            return (
                f"{ours.error_rate:.1%} {span} failed, {theirs.error_rate:.1%} of the champion's; "
                f"at most {limits.error_margin:.1%} more are allowed"
            )
        if ours.p95_s is None or theirs.p95_s is None or theirs.num_requests < limits.min_requests:
            return ""
        allowed_s = self._allowance * theirs.p95_s + limits.p95_margin_s
        if ours.p95_s > allowed_s:
            return (
                f"the p95 {span} is {1000 * ours.p95_s:.0f} ms, the champion's {1000 * theirs.p95_s:.0f} ms; "
                f"at most {1000 * allowed_s:.0f} ms are allowed"
            )
        return ""
