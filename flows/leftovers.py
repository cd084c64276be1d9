"""Leftovers of killed processes in Prefect: runs that nobody carries out any more, and slots that nobody holds."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import GlobalConcurrencyLimitUpdate
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterState, FlowRunFilterStateType
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.settings import get_current_settings
from prefect.states import Crashed

from flows.claim import find_dead_owner
from pipeline.doctor.checks import NotCheckedError
from pipeline.doctor.findings import Finding

_AT_WORK = FlowRunFilter(
    state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.PENDING, StateType.RUNNING, StateType.CANCELLING]))
)
_EXPIRATIONS = "expirations.json"


def find_leftovers(_: Path) -> Iterator[Finding]:
    """Yield stranded runs of this machine, and leaked slots of limits.

    Raises:
        NotCheckedError: when no server answers.
    """
    try:
        with get_client(sync_client=True) as client:
            runs = client.read_flow_runs(flow_run_filter=_AT_WORK)
            stranded = {run.id: owner for run in runs if (owner := find_dead_owner(run.labels))}
            for run in runs:
                if run.id in stranded:
                    what = f"run {run.name} is {run.state_name}, but its process {stranded[run.id]} has ended"
                    yield Finding(what, partial(_crash, run))
            if len(stranded) == len(runs) and not _has_lease():
                yield from _find_leaked_slots(client)
    except httpx.ConnectError as error:
        raise NotCheckedError("no Prefect server answers; run: cuepoint server") from error


def _crash(run: FlowRun) -> str:
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(run.id, Crashed(message="The process of the run has ended: cuepoint doctor"), force=True)
    return f"marked run {run.name} as Crashed"


def _has_lease() -> bool:
    """Tell whether a lease in the server's folder on this machine still runs; Prefect frees its slot when it ends."""
    folder = get_current_settings().home / "concurrency_leases"
    ends = [json.loads(path.read_text())["expiration"] for path in folder.glob("*.json") if path.name != _EXPIRATIONS]
    return any(datetime.fromisoformat(end) > datetime.now(UTC) for end in ends)


def _find_leaked_slots(client: SyncPrefectClient) -> Iterator[Finding]:
    for limit in client.read_global_concurrency_limits(limit=200, offset=0):
        if limit.active_slots:
            what = (
                f"{limit.active_slots} slots of Prefect's limit {limit.name} are held, but no run is at work and no lease is left"
            )
            yield Finding(what, partial(_free, limit.name))


def _free(name: str) -> str:
    with get_client(sync_client=True) as client:
        client.update_global_concurrency_limit(name=name, concurrency_limit=GlobalConcurrencyLimitUpdate(active_slots=0))
    return f"freed the slots of the limit {name}"
