"""Prometheus metrics of each variant."""

from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_BUCKETS_S = (0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0)


class VariantMetrics:
    """Requests, failures and times of computations, agreement of a shadow, and whether the challenger takes part."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Start at zero."""
        self._requests = Counter(
            "cuepoint_variant_requests", "Searches that a variant computed", ("variant", "outcome"), registry=registry
        )
        self._seconds = Histogram(
            "cuepoint_variant_seconds", "Time of the computation", ("variant",), buckets=_BUCKETS_S, registry=registry
        )
        self._shadow = Counter(
            "cuepoint_shadow_answers", "First answers of the shadow beside the champion's", ("outcome",), registry=registry
        )
        self._registry = registry
        self._serving: Gauge | None = None

    def observe(self, variant: str, took_s: float, *, is_error: bool) -> None:
        """Count a computation."""
        self._requests.labels(variant, "failed" if is_error else "answered").inc()
        self._seconds.labels(variant).observe(took_s)

    def count_shadow(self, outcome: Literal["agreed", "differed", "dropped"], amount: int = 1) -> None:
        """Count first answers that were compared, or searches that the shadow dropped."""
        self._shadow.labels(outcome).inc(amount)

    def show_challenger(self, *, is_serving: bool) -> None:
        """Set whether the challenger takes part. The metric does not exist before the first call."""
        if self._serving is None:
            help_text = "1 while the challenger takes part, 0 when it was taken out or refused"
            self._serving = Gauge("cuepoint_challenger_serving", help_text, registry=self._registry)
        self._serving.set(is_serving)
