"""One computation of a challenger. It returns failures instead of raising them."""

import time
from typing import NamedTuple

from search.answers import Answer
from search.contracts import Predictor
from serving.variants.variant import Ask
from serving.variants.worker import read_queue_wait_s


class Attempt(NamedTuple):
    """Outcome of a search."""

    answers: list[Answer] | None  # None if it failed
    took_s: float
    reason: str = ""  # why it failed


def attempt(ask: Ask, predictor: Predictor, *, is_background: bool) -> Attempt:
    """Compute answers. The time of background work excludes its waits for a processor."""
    waited_s, start_s = read_queue_wait_s(), time.perf_counter()
    answers, reason = None, ""
    try:
        answers = ask(predictor)
    except Exception as error:  # a challenger may fail in any way: the champion answers in its place
        reason = f"{type(error).__name__}: {error}"
    took_s = time.perf_counter() - start_s
    if is_background:
        took_s = max(0.0, took_s - (read_queue_wait_s() - waited_s))
    return Attempt(answers, took_s, reason)
