"""Per-client rate limiting."""

import math
import time
from collections import OrderedDict
from collections.abc import Callable

_MAX_CLIENTS = 10_000


class RateLimit:
    """Token bucket per client: it holds at most a minute's requests and fills evenly. The longest idle clients are forgotten."""

    def __init__(self, per_minute: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Allow `per_minute` requests a minute for each client; 0 means no limit."""
        self._per_minute, self._clock = per_minute, clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # client -> tokens, time of the last request

    def take(self, client: str) -> int:
        """Count a request; return 0 if it is allowed, else the seconds until the next one is."""
        if not self._per_minute:
            return 0
        now = self._clock()
        tokens, then = self._buckets.pop(client, (float(self._per_minute), now))
        tokens = min(float(self._per_minute), tokens + (now - then) * self._per_minute / 60)
        is_allowed = tokens >= 1
        self._buckets[client] = (tokens - 1 if is_allowed else tokens, now)
        if len(self._buckets) > _MAX_CLIENTS:
            self._buckets.popitem(last=False)
        return 0 if is_allowed else math.ceil((1 - tokens) * 60 / self._per_minute)
