"""One computation of a challenger: whatever goes wrong in it is told, not raised."""

import time
from typing import NamedTuple

from serving.answers import Answer
from serving.predictor import MomentPredictor
from serving.variants.variant import Ask
from serving.variants.worker import read_queue_wait_s


class Attempt(NamedTuple):
    """What became of a search."""

    answers: list[Answer] | None  # None where it failed
    took_s: float
    reason: str = ""  # why it failed


def attempt(ask: Ask, predictor: MomentPredictor, *, is_background: bool) -> Attempt:
    """Compute answers. The time of work in the background leaves out what it waited for others to use the processors."""
    waited_s, start_s = read_queue_wait_s(), time.perf_counter()
    answers, reason = None, ""
    try:
        answers = ask(predictor)
    except Exception as error:  # of a challenger nothing is trusted: the champion answers in its place
        reason = f"{type(error).__name__}: {error}"
    took_s = time.perf_counter() - start_s
    if is_background:
        took_s = max(0.0, took_s - (read_queue_wait_s() - waited_s))
    return Attempt(answers, took_s, reason)
