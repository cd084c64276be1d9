"""Ownership of a flow run: the run names its process, and ends when the worker that started it dies."""

from collections.abc import Mapping
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.runtime import deployment, flow_run

from pipeline.executors.process import watch_parent
from pipeline.tracking.spool import describe_owner, is_owner_dead


def claim_run() -> None:
    """Sign the present run with its process, for `cuepoint doctor`, and tie it to its worker if it has one.

    Nobody could cancel the run of a dead worker, so the run and all processes of its stages end with the worker.
    """
    if flow_run.id:
        with get_client(sync_client=True) as client:
            client.update_flow_run_labels(UUID(flow_run.id), dict(describe_owner()))
    if deployment.id:
        watch_parent()


def find_dead_owner(labels: Mapping[str, object]) -> str | None:
    """Return the process that signed a run, if it was on this machine and has ended; None if it lives or is unknown."""
    owner = {name: str(value) for name, value in labels.items()}
    return owner["owner.pid"] if is_owner_dead(owner) else None
