"""Delivery of tracked runs: sends the events of a spool to MLflow, each exactly once in effect."""

import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.tracking import parents, run_table
from pipeline.tracking import server as tracking
from pipeline.tracking.spool import Spool, SpoolState, unpack_files

if TYPE_CHECKING:
    from mlflow import MlflowClient

_MAX_PARAMS, _MAX_PARAM_LENGTH = 100, 6000  # in one request; of one value
_CONTEXT_TAG = "mlflow.data.context"


def deliver(spool: Spool) -> SpoolState:
    """Send the events that the server lacks, in order, and remove the spool of an ended run from the disk.

    Sending an event again changes nothing on the server, so a crash before the progress is saved duplicates nothing.

    Raises:
        TrackingError: when the server cannot be used; the progress is saved.
    """
    events, state = spool.read(), spool.load_state()
    if len(events) == state.num_delivered:
        return state
    with tracking._open_client() as client:
        run_id = state.run_id or tracking._find_run(client, spool.name) or _create_run(client, spool, events[0])
        for number, event in enumerate(events[state.num_delivered :], start=state.num_delivered + 1):
            _send(client, run_id, event)
            state = SpoolState(run_id, number)
            spool.save_state(state)
    if events[-1]["kind"] == "end":
        spool.remove()
    return state


def _create_run(client: "MlflowClient", spool: Spool, start: Mapping[str, Any]) -> str:
    """Create the run of a spool below its parent; an evaluation of a pipeline run reports to the parent."""
    experiment_id, tags = tracking._find_experiment(client), {tracking.SPOOL_TAG: spool.name, **start["tags"]}
    run_table.save_view(client, experiment_id)
    if start.get("parent"):
        parent_id = parents.find_or_create_parent(client, experiment_id, start["parent"], start["time_ms"])
        if start["is_parent"]:
            client.update_run(parent_id, status="RUNNING")
            _send_metrics(client, parent_id, start, {}, tags)
            return parent_id
        tags[parents.PARENT_TAG] = parent_id
    return str(client.create_run(experiment_id, start["time_ms"], tags, start["run_name"]).info.run_id)


def _send(client: "MlflowClient", run_id: str, event: Mapping[str, Any]) -> None:
    from mlflow.entities import Param

    match event["kind"]:
        case "start":
            parents.start_parent(client, run_id, _pick_owner(event["tags"]))
            params = [Param(key, str(value)[:_MAX_PARAM_LENGTH]) for key, value in event["params"].items()]
            for first in range(0, len(params), _MAX_PARAMS):
                client.log_batch(run_id, params=params[first : first + _MAX_PARAMS])
            _send_datasets(client, run_id, event.get("datasets", ()))
        case "resume":
            client.update_run(run_id, status="RUNNING")
            parents.start_parent(client, run_id, _pick_owner(event["tags"]))
            _send_metrics(client, run_id, event, {}, event["tags"])
        case "metrics":
            _send_metrics(client, run_id, event, event["values"], {})
        case "end":
            _send_metrics(client, run_id, event, event["metrics"], {})
            _send_files(client, run_id, unpack_files(event["files_base64"]))
            client.set_terminated(run_id, event["status"], event["time_ms"])
            parents.end_parent(client, run_id, event["status"], event["time_ms"])
            parents.write_note(client, run_id)


def _send_files(client: "MlflowClient", run_id: str, files: Mapping[str, bytes]) -> None:
    with tempfile.TemporaryDirectory() as name:
        for path, content in files.items():
            target = Path(name) / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        if files:
            client.log_artifacts(run_id, name)


def _send_metrics(
    client: "MlflowClient", run_id: str, event: Mapping[str, Any], values: Mapping[str, float], tags: Mapping[str, str]
) -> None:
    from mlflow.entities import Metric, RunTag

    metrics = [Metric(key, value, event["time_ms"], event.get("step", 0)) for key, value in values.items()]
    client.log_batch(run_id, metrics=metrics, tags=[RunTag(key, value) for key, value in tags.items()])


def _pick_owner(tags: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in tags.items() if name.startswith("owner.")}


def _send_datasets(client: "MlflowClient", run_id: str, datasets: Sequence[Mapping[str, Any]]) -> None:
    from mlflow.entities import Dataset, DatasetInput, InputTag

    inputs = [
        DatasetInput(
            Dataset(
                name=one["name"],
                digest=one["digest"],
                source_type="local",
                source=json.dumps({"uri": one["path"]}),
                profile=json.dumps(one["profile"]),
            ),
            [InputTag(_CONTEXT_TAG, one["context"])],
        )
        for one in datasets
    ]
    if inputs:
        client.log_inputs(run_id, inputs)
