"""Registration of the flows with their schedules: work pool, GPU limit, deployments, automation. A second run changes nothing."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

import httpx
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy
from prefect.exceptions import ObjectAlreadyExists
from prefect.flows import Flow
from prefect.schedules import Cron, Interval, Schedule
from prefect.workers.process import ProcessWorker

from flows.automations import ensure_crash_automation
from flows.limits import ensure_gpu_limit
from flows.notification import ensure_notification

POOL = "cuepoint"
DEPLOYMENT = "cuepoint"
_ANCHOR = datetime(2025, 1, 1, tzinfo=UTC)  # intervals count from here, so that a second deploy moves no run


class Timetable(NamedTuple):
    """The times of scheduled runs: of `retrain` as cron in a time zone, of `watch` as an interval."""

    cron: str = "0 3 * * *"
    timezone: str = "UTC"
    watch_every: timedelta = timedelta(hours=1)


def list_schedules(timetable: Timetable, checkout: Path) -> dict[str, Schedule | None]:
    """Return the schedule of each flow in a checkout; None for a flow that only people start."""
    retrain = Cron(timetable.cron, timezone=timetable.timezone)
    schedules: dict[str, Schedule | None] = {
        "reproduce": None,
        "retrain": retrain,
        "watch": Interval(timetable.watch_every, timezone=timetable.timezone, anchor_date=_ANCHOR),
    }
    present = {name: schedule for name, schedule in schedules.items() if (checkout / "flows" / f"{name}.py").is_file()}
    return present if "retrain" in present else {**present, "reproduce": retrain}


def deploy(timetable: Timetable, *, checkout: Path) -> dict[str, UUID]:
    """Create or update everything that scheduled runs in `checkout` need, and return the deployments' ids by flow.

    Prefect cancels a run that is due while another run of its flow works, so runs never pile up.
    """
    ensure_gpu_limit()
    ensure_work_pool()
    schedules = list_schedules(timetable, checkout)
    deployments = {name: _deploy_flow(name, schedule, checkout) for name, schedule in schedules.items()}
    ensure_crash_automation(list(deployments.values()))
    ensure_notification()
    return deployments


def _deploy_flow(name: str, schedule: Schedule | None, checkout: Path) -> UUID:
    flow = Flow.from_source(source=str(checkout), entrypoint=f"flows/{name}.py:{name}")
    assert isinstance(flow, Flow)
    deployment_id = flow.deploy(
        name=DEPLOYMENT,
        work_pool_name=POOL,
        schedule=schedule,
        concurrency_limit=ConcurrencyLimitConfig(limit=1, collision_strategy=ConcurrencyLimitStrategy.CANCEL_NEW),
        job_variables={"working_dir": str(checkout)},
        build=False,
        push=False,
        print_next_steps=False,
        ignore_warnings=True,
    )
    assert isinstance(deployment_id, UUID)
    if schedule is None:
        _remove_schedules(deployment_id)
    return deployment_id


def _remove_schedules(deployment_id: UUID) -> None:
    """Remove the schedules of an earlier deploy, which an update without a schedule keeps."""
    with get_client(sync_client=True) as client:
        for schedule in client.read_deployment_schedules(deployment_id):
            client.delete_deployment_schedule(deployment_id, schedule.id)


def ensure_work_pool() -> None:
    """Create the work pool, whose worker starts each run in its own process."""
    pool = WorkPoolCreate(name=POOL, type="process", base_job_template=ProcessWorker.get_default_base_job_template())
    with get_client(sync_client=True) as client:
        try:
            client.create_work_pool(pool)
        except ObjectAlreadyExists:
            return


def deploy_checkout(timetable: Timetable) -> dict[str, UUID]:
    """Deploy the flows of the checkout in this folder to the server of `PREFECT_API_URL`; return the deployments' ids by flow.

    Raises:
        ValueError: when no server answers.
    """
    try:
        return deploy(timetable, checkout=Path.cwd())
    except httpx.ConnectError as error:
        raise ValueError(f"no Prefect server answers at {os.environ.get('PREFECT_API_URL')}; run: cuepoint server") from error
