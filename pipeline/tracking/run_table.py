"""Run table of MLflow's page: a saved view whose columns are source, commit, data set and the main figures, best run first.

MLflow keeps saved views as tags of the experiment, and by default its table shows no metric.
"""

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow import MlflowClient

MAIN = "test/localizer/R1_iou0.5"
METRICS = (
    MAIN,
    "test/localizer/R1_iou0.7",
    "test/localizer/mIoU",
    "test/collection/R10",
    "val/localizer/R1_iou0.5",
    "best/val/mIoU",
    "best/val/recall",
    "best/val/loss",
)
VIEW = "cuepoint"
_ATTRIBUTES = ("Dataset", "Source", "Version")
_TAG = f"mlflow.sharedViewState.{VIEW}"
_NOTE_TAG = "mlflow.note.content"
NOTE = """Each top-level run is a run of the pipeline with the figures of its evaluation. Below it are the trainings of its roles.
To compare runs, tick them and press Compare."""


def save_view(client: "MlflowClient", experiment_id: str) -> None:
    """Save the view and the description of the experiment, unless they are there."""
    experiment = client.get_experiment(experiment_id)
    created_ms = int(experiment.creation_time or 0)
    for tag, value in ((_TAG, describe_view(created_ms)), (_NOTE_TAG, NOTE)):
        if experiment.tags.get(tag) != value:
            client.set_experiment_tag(experiment_id, tag, value)


def describe_view(created_ms: int) -> str:
    """Return the view as MLflow's page saves it."""
    columns = [*(f"attributes.`{name}`" for name in _ATTRIBUTES), *(f"metrics.`{name}`" for name in METRICS)]
    state = {"orderByKey": f"metrics.`{MAIN}`", "orderByAsc": False, "selectedColumns": columns}
    envelope = {"name": "Cuepoint", "createdAt": created_ms, "updatedAt": created_ms, "state": json.dumps(state)}
    return json.dumps(envelope)
