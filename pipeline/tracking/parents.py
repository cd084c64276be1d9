"""Parent runs: the MLflow run of a whole pipeline run, below which the runs of its stages hang.

The parent has the key of the pipeline's inputs as a tag. Its state follows its stages: it is running while one of them is, and
then has the state of the latest. `evaluate` reports to the parent, so the parent has the figures, the report and the pictures.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pipeline.tracking.pipeline_run import KEY

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

PARENT_TAG = "mlflow.parentRunId"
_NOTE_TAG = "mlflow.note.content"
_KIND_TAG, _PIPELINE = "cuepoint.kind", "pipeline"
_RUN_ID = ".run_id"


def find_or_create_parent(client: "MlflowClient", experiment_id: str, parent: Mapping[str, Any], time_ms: int) -> str:
    """Return the id of the parent run with the key of `parent`; of two that were created at once, the older one."""
    found = find_parents(client, experiment_id, parent["key"])
    if not found:
        tags = {**parent["tags"], KEY: parent["key"], _KIND_TAG: _PIPELINE}
        created = client.create_run(experiment_id, time_ms, tags, parent["run_name"]).info.run_id
        found = find_parents(client, experiment_id, parent["key"])
        for other in found[1:]:
            if other == created:  # another stage was faster
                client.delete_run(created)
    for name, value in parent["params"].items():
        client.log_param(found[0], name, value)
    return found[0]


def find_parents(client: "MlflowClient", experiment_id: str, key: str) -> list[str]:
    """Return the ids of the parent runs with this key, oldest first."""
    query = f"tags.`{KEY}` = '{key}' and tags.`{_KIND_TAG}` = '{_PIPELINE}'"
    runs = client.search_runs([experiment_id], query, order_by=["attributes.start_time ASC", "attributes.run_id ASC"])
    return [str(run.info.run_id) for run in runs]


def find_parent_page(client: "MlflowClient", experiment_id: str, tags: Mapping[str, str]) -> str | None:
    """Return the page, within MLflow's, of the parent run that the lineage in `tags` names; None if it was not tracked."""
    found = find_parents(client, experiment_id, tags[KEY]) if KEY in tags else []
    return f"#/experiments/{experiment_id}/runs/{found[0]}" if found else None


def start_parent(client: "MlflowClient", run_id: str, owner: Mapping[str, str]) -> None:
    """Mark the parent of a run as running, owned by the process of that run; nothing happens without a parent."""
    parent_id = _find_parent_of(client, run_id)
    if parent_id:
        client.update_run(parent_id, status="RUNNING")
        for name, value in owner.items():
            client.set_tag(parent_id, name, value)


def end_parent(client: "MlflowClient", run_id: str, status: str, time_ms: int) -> None:
    """Give the parent of a run the state of that run; nothing happens without a parent."""
    parent_id = _find_parent_of(client, run_id)
    if parent_id:
        client.set_terminated(parent_id, status, time_ms)


def _find_parent_of(client: "MlflowClient", run_id: str) -> str | None:
    return client.get_run(run_id).data.tags.get(PARENT_TAG)


def write_note(client: "MlflowClient", run_id: str) -> None:
    """Describe an evaluated parent: its report, the training of each role, and its commit; other runs stay as they are."""
    run = client.get_run(run_id)
    tags = run.data.tags
    if tags.get(_KIND_TAG) != _PIPELINE:
        return
    roles = {tag.removesuffix(_RUN_ID): tags[tag] for tag in sorted(tags) if tag.endswith(_RUN_ID)}
    rows = [f"| {role} | {run.data.params.get(role, '')} | {_link(client, run, role_id)} |" for role, role_id in roles.items()]
    page = f"#/experiments/{run.info.experiment_id}/runs/{run_id}/artifacts/index.html"
    commit = tags.get("git.commit", "")
    lines = [
        f"[Report]({page}): figures, floors, intervals and examples.",
        "",
        "| role | preset | training |",
        "|---|---|---|",
        *rows,
        "",
        f"Commit `{commit[:10]}`{' with uncommitted changes' if tags.get('git.dirty') == 'true' else ''}. "
        "Data Docs: `data/reports/data_docs/index.html` of the checkout.",
    ]
    client.set_tag(run_id, _NOTE_TAG, "\n".join(lines))


def _link(client: "MlflowClient", parent: "Run", run_id: str) -> str:
    """Return the link to a role's run, and say if an earlier pipeline run trained it."""
    from mlflow.exceptions import MlflowException

    try:
        run = client.get_run(run_id)
    except MlflowException:
        return f"`{run_id}`, tracked by another server"
    link = f"[{run.info.run_name}](#/experiments/{run.info.experiment_id}/runs/{run_id})"
    return link if run.data.tags.get(PARENT_TAG) == parent.info.run_id else f"{link}, trained by an earlier pipeline run"
