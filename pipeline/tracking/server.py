"""MLflow client: the store, the experiment, reaping of stale runs, and the registry of bundles.

`MLFLOW_TRACKING_URI` names the server or a SQLite file; by default, runs are in `.cache/mlflow/mlflow.db` of the main checkout.
Artifacts are stored beside a SQLite file. MLflow is imported by the first call, not with this module.
"""

import contextlib
import logging
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pipeline.paths import find_cache_dir
from pipeline.tracking.parents import find_parent_page, find_parents
from pipeline.tracking.pipeline_run import KEY, describe_pipeline
from pipeline.tracking.spool import is_owner_dead
from pipeline.tracking.version_page import MODEL_NOTE, describe_bundle

if TYPE_CHECKING:
    from mlflow import MlflowClient

EXPERIMENT = "cuepoint"
MODEL = "cuepoint"
CHAMPION, CHALLENGER = "champion", "challenger"
_SQLITE = "sqlite:///"
SPOOL_TAG = "cuepoint.spool"
DIGEST_TAG = "cuepoint.bundle_sha256"
_BUNDLE = "bundle"
_IMPATIENCE = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "5",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
}


class TrackingError(OSError):
    """The tracking server cannot be used now."""


class RegisteredVersion(NamedTuple):
    """A version of the registered model."""

    version: str
    metrics: Mapping[str, float]
    tags: Mapping[str, str]


def find_tracking_uri() -> str:
    """Return `MLFLOW_TRACKING_URI`, or the SQLite file of the main checkout."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"{_SQLITE}{_find_local_folder() / 'mlflow.db'}"


def _find_local_folder() -> Path:
    return find_cache_dir() / "mlflow"


@contextlib.contextmanager
def _open_client() -> Iterator["MlflowClient"]:
    """Yield a client; its errors, and failed connections, become a TrackingError that names the server."""
    for variable, value in _IMPATIENCE.items():
        os.environ.setdefault(variable, value)
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    for name in ("mlflow", "alembic"):  # after the import, which sets the level itself
        logging.getLogger(name).setLevel(logging.WARNING)

    uri = find_tracking_uri()
    try:
        if uri.startswith(_SQLITE):
            _create_store(Path(uri.removeprefix(_SQLITE)))
        yield MlflowClient(tracking_uri=uri)
    except (MlflowException, SQLAlchemyError, OSError) as error:
        reason = str(error).splitlines()[0][:300]
        raise TrackingError(f"MLflow at {uri} cannot be used: {reason}; start it, or set MLFLOW_TRACKING_URI") from error


def _create_store(path: Path) -> None:
    """Create a SQLite store beside its path and rename it, because a store killed during MLflow's migration never opens again."""
    if path.exists():
        return
    from mlflow import MlflowClient

    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".mlflow-") as folder:
        unfinished = Path(folder) / path.name
        MlflowClient(tracking_uri=f"{_SQLITE}{unfinished}").search_experiments(max_results=1)
        with contextlib.suppress(FileExistsError):  # another process was faster
            os.link(unfinished, path)


def _find_experiment(client: "MlflowClient") -> str:
    experiment = client.get_experiment_by_name(EXPERIMENT)
    if experiment is not None:
        return str(experiment.experiment_id)
    return str(client.create_experiment(EXPERIMENT, _choose_artifacts_uri()))


def _choose_artifacts_uri() -> str | None:
    """Return a folder beside a SQLite store, since MLflow would use the working folder; None for a server, which has its own."""
    uri = find_tracking_uri()
    if not uri.startswith(_SQLITE):
        return None
    return (Path(uri.removeprefix(_SQLITE)).absolute().parent / "artifacts").as_uri()


def _find_run(client: "MlflowClient", spool_name: str) -> str | None:
    runs = client.search_runs([_find_experiment(client)], f"tags.`{SPOOL_TAG}` = '{spool_name}'", max_results=1)
    return str(runs[0].info.run_id) if runs else None


class RunAddress(NamedTuple):
    """The parts of the address of a run's page."""

    experiment_id: str
    run_id: str


def find_run(spool_name: str) -> RunAddress | None:
    """Return the address of a spool's run on the server, None if the server does not have it yet.

    Raises:
        TrackingError: when the server cannot be used.
    """
    with _open_client() as client:
        run_id = _find_run(client, spool_name)
        return RunAddress(_find_experiment(client), run_id) if run_id else None


def find_pipeline_run() -> RunAddress | None:
    """Return the address of the parent run of the pipeline in the working folder, None if no stage of it was tracked.

    Raises:
        TrackingError: when the server cannot be used.
    """
    key = describe_pipeline().get(KEY)
    if key is None:
        return None
    with _open_client() as client:
        experiment_id = _find_experiment(client)
        found = find_parents(client, experiment_id, key)
        return RunAddress(experiment_id, found[0]) if found else None


def reap_stale_runs() -> list[str]:
    """Mark RUNNING runs as KILLED if their process on this machine has ended, and return their ids.

    Raises:
        TrackingError: when the server cannot be used.
    """
    with _open_client() as client:
        runs = client.search_runs([_find_experiment(client)], "attributes.status = 'RUNNING'")
        stale = [str(run.info.run_id) for run in runs if is_owner_dead(run.data.tags)]
        for run_id in stale:
            client.set_terminated(run_id, "KILLED")
    return stale


def register_bundle(bundle_dir: Path, *, digest: str, metrics: Mapping[str, float], tags: Mapping[str, str]) -> str:
    """Store a folder in the registry as plain files with its metrics, and return the version.

    If the registry already has a bundle with this `digest`, its version is returned and nothing is stored.

    Raises:
        TrackingError: when the server cannot be used.
    """
    with _open_client() as client:
        if not client.search_registered_models(f"name = '{MODEL}'"):
            client.create_registered_model(MODEL, description=MODEL_NOTE)
        known = client.search_model_versions(f"name = '{MODEL}' and tags.`{DIGEST_TAG}` = '{digest}'")
        if known:
            return str(known[0].version)
        all_tags = {**tags, DIGEST_TAG: digest}
        run = client.create_run(_find_experiment(client), tags=all_tags, run_name=f"bundle-{digest[:8]}")
        run_id = str(run.info.run_id)
        for key, value in metrics.items():
            client.log_metric(run_id, key, value)
        client.log_artifacts(run_id, str(bundle_dir), _BUNDLE)
        client.set_terminated(run_id)
        source = f"{run.info.artifact_uri}/{_BUNDLE}"
        description = describe_bundle(tags, metrics, run_page=find_parent_page(client, _find_experiment(client), tags))
        return str(client.create_model_version(MODEL, source, run_id, tags=all_tags, description=description).version)


def read_champion() -> RegisteredVersion | None:
    """Return the version with the alias `champion`, or None if there is none yet.

    Raises:
        TrackingError: when the server cannot be used.
    """
    return _read_aliased(CHAMPION)


def read_challenger() -> RegisteredVersion | None:
    """Return the version with the alias `challenger`, or None if there is none.

    Raises:
        TrackingError: when the server cannot be used.
    """
    return _read_aliased(CHALLENGER)


def _read_aliased(alias: str) -> RegisteredVersion | None:
    with _open_client() as client:
        models = client.search_registered_models(f"name = '{MODEL}'")
        version = models[0].aliases.get(alias) if models else None
        if version is None:
            return None
        found = client.get_model_version(MODEL, str(version))
        run = client.get_run(found.run_id)
        return RegisteredVersion(str(version), dict(run.data.metrics), dict(found.tags))


def set_champion(version: str) -> None:
    """Move the alias `champion` to a version.

    Raises:
        TrackingError: when the server cannot be used, or has no such version.
    """
    with _open_client() as client:
        client.set_registered_model_alias(MODEL, CHAMPION, version)


def set_challenger(version: str) -> None:
    """Move the alias `challenger` to a version.

    Raises:
        TrackingError: when the server cannot be used, or has no such version.
    """
    with _open_client() as client:
        client.set_registered_model_alias(MODEL, CHALLENGER, version)


def fetch_version(version: str, folder: Path) -> Path:
    """Download the files of a version below `folder` and return their folder.

    Raises:
        TrackingError: when the server cannot be used, or has no such version.
    """
    with _open_client() as client:
        run_id = client.get_model_version(MODEL, version).run_id
        folder.mkdir(parents=True, exist_ok=True)
        return Path(client.download_artifacts(run_id, _BUNDLE, str(folder)))
