"""Encodes a video while its sender waits."""

import time
from collections.abc import Generator
from pathlib import Path
from typing import Any, cast

from corpus.isolation import Budget, Failure, Progress, Success, run_isolated
from serving.library.upload_work import EncodeOnce

_BUDGET = Budget(silence_s=60.0, silence_s_per_mebibyte=0.1)
_LIMIT_S = 120.0


def encode_once(work: EncodeOnce, path: Path) -> Any:
    """Encode a file in a separate process.

    Raises:
        ValueError: saying why it cannot be encoded, or that it takes too long.
    """
    deadline_s = time.monotonic() + _LIMIT_S
    events = cast("Generator[Progress | Success[Any] | Failure]", run_isolated(work, [path], num_workers=1, budget=_BUDGET))
    try:
        for event in events:
            if isinstance(event, Failure):
                raise ValueError(event.reason)
            if isinstance(event, Success):
                return event.value
            if time.monotonic() > deadline_s:
                break
    finally:
        events.close()  # this ends the process
    raise ValueError(f"its encoding takes longer than {_LIMIT_S:.0f} s; upload it with POST /videos, then search in it")
