"""Prometheus metrics of the service, labelled by endpoint. Paths are not labels, so clients cannot grow the metrics."""

from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

_BUCKETS_S = (0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0)


class _CollectionMetrics(Collector):
    """Size of the collection and the served versions, reported on each scrape."""

    def __init__(self) -> None:
        self.described: tuple[int, str, str] | None = None

    def collect(self) -> Iterator[Metric]:
        if self.described is None:
            return
        num_videos, model, index = self.described
        yield GaugeMetricFamily("cuepoint_videos", "Videos that a search can find", num_videos)
        version = GaugeMetricFamily("cuepoint_version_info", "Served versions", labels=("model", "index"))
        version.add_metric((model, index), 1)
        yield version


class ServiceMetrics:
    """The metrics of one process."""

    content_type = "text/plain; version=0.0.4; charset=utf-8"

    def __init__(self) -> None:
        """Start at zero."""
        self.registry = CollectorRegistry()
        labels = ("endpoint", "method", "status")
        self._requests = Counter("cuepoint_requests", "Requests answered", labels, registry=self.registry)
        self._duration = Histogram(
            "cuepoint_request_seconds",
            "Time from a request to the end of its answer",
            ("endpoint",),
            buckets=_BUCKETS_S,
            registry=self.registry,
        )
        self._running = Gauge("cuepoint_requests_running", "Running requests", registry=self.registry)
        self._recall = Gauge(
            "cuepoint_two_stage_recall",
            "Recall of the search: share of the best moments of all videos that it found, mean of the latest checks",
            registry=self.registry,
        )
        self._recall_checks = Gauge("cuepoint_two_stage_recall_checks", "Sentences checked", registry=self.registry)
        self._traffic_lost = Gauge("cuepoint_traffic_rows_lost", "Answers that the traffic log lost", registry=self.registry)
        self._collection = _CollectionMetrics()
        self.registry.register(self._collection)

    def observe(self, endpoint: str, method: str, status: int, duration_s: float) -> None:
        """Count an answered request."""
        self._requests.labels(endpoint, method, str(status)).inc()
        self._duration.labels(endpoint).observe(duration_s)

    def track_running(self, count: Callable[[], int]) -> None:
        """Read the number of running requests from `count`."""
        self._running.set_function(count)

    def describe_collection(self, *, num_videos: int, model: str, index: str) -> None:
        """Set the size of the collection and the served versions."""
        self._collection.described = (num_videos, model, index)

    def track_recall(self, recall: Callable[[], float], num_checks: Callable[[], int]) -> None:
        """Read the recall of the search and its number of checks from these functions."""
        self._recall.set_function(recall)
        self._recall_checks.set_function(num_checks)

    def track_traffic(self, num_lost: Callable[[], int]) -> None:
        """Read the number of answers that the traffic log lost from this function."""
        self._traffic_lost.set_function(num_lost)

    def render(self) -> bytes:
        """Return all metrics in the text format of Prometheus."""
        return generate_latest(self.registry)
