"""Decisions of the gate as MLflow runs: found again by their key, and counted by the queries that they looked at."""

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.tracking import server as tracking

_KEY, _QUERIES, _OUTCOME = "cuepoint.gate.key", "cuepoint.gate.queries", "cuepoint.gate.outcome"
_DECISION, _PAGE = "decision.json", "gate.md"
_NOTE = "mlflow.note.content"
_MOST_LOOKS = 10_000


class GateRun(NamedTuple):
    """A recorded decision."""

    run_id: str
    decision: Mapping[str, Any]  # with `promoted` and `reason`
    page: str  # Markdown


def find_decision(key: str) -> GateRun | None:
    """Return the recorded decision with this key, None if there is none.

    Raises:
        TrackingError: when the server cannot be used.
    """
    with tracking.open_client() as client:
        experiment = tracking.find_experiment(client)
        found = client.search_runs([experiment], f"tags.`{_KEY}` = '{key}' and attributes.status = 'FINISHED'", max_results=1)
        if not found:
            return None
        run_id = str(found[0].info.run_id)
        with tempfile.TemporaryDirectory() as folder:
            texts = [Path(client.download_artifacts(run_id, name, folder)).read_text() for name in (_DECISION, _PAGE)]
        return GateRun(run_id, json.loads(texts[0]), texts[1])


def count_looks(queries: str) -> int:
    """Return how many decisions looked at the queries with this digest.

    Raises:
        TrackingError: when the server cannot be used.
    """
    with tracking.open_client() as client:
        experiment = tracking.find_experiment(client)
        return len(client.search_runs([experiment], f"tags.`{_QUERIES}` = '{queries}'", max_results=_MOST_LOOKS))


def record_decision(
    decision: Mapping[str, Any], page: str, *, key: str, queries: str, name: str, tags: Mapping[str, str]
) -> GateRun:
    """Record a decision with its page, and the metrics of its comparison.

    Raises:
        TrackingError: when the server cannot be used.
    """
    outcome = "promoted" if decision["promoted"] else "rejected"
    with tracking.open_client() as client:
        all_tags = {**tags, _KEY: key, _QUERIES: queries, _OUTCOME: outcome, _NOTE: page}
        run = client.create_run(tracking.find_experiment(client), tags=all_tags, run_name=name)
        run_id = str(run.info.run_id)
        for metric, value in _list_metrics(decision).items():
            client.log_metric(run_id, metric, value)
        client.log_text(run_id, json.dumps(decision, indent=2), _DECISION)
        client.log_text(run_id, page, _PAGE)
        client.set_terminated(run_id)
    return GateRun(run_id, decision, page)


def _list_metrics(decision: Mapping[str, Any]) -> dict[str, float]:
    """Return the comparison of the main metric as metrics of a run."""
    gain = decision.get("gain") or {}
    wanted = ("challenger", "champion", "difference", "low", "high")
    return {f"gate/{name}": float(gain[name]) for name in wanted if gain.get(name) is not None}
