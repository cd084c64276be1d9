"""Registration of the flow with its schedule: process work pool, GPU limit, deployment. A second run changes nothing."""

import os
from pathlib import Path
from uuid import UUID

import httpx
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy
from prefect.exceptions import ObjectAlreadyExists
from prefect.flows import Flow
from prefect.schedules import Cron
from prefect.workers.process import ProcessWorker

from flows.limits import ensure_gpu_limit
from flows.reproduce import reproduce

POOL = "cuepoint"
DEPLOYMENT = "scheduled"


def deploy(*, cron: str, timezone: str, checkout: Path) -> UUID:
    """Create or update everything that a scheduled run in `checkout` needs, and return the deployment's id.

    Prefect cancels a run that is due while another one is running, so runs never pile up.
    """
    ensure_gpu_limit()
    ensure_work_pool()
    flow = reproduce.from_source(source=str(checkout), entrypoint="flows/reproduce.py:reproduce")
    assert isinstance(flow, Flow)
    deployment_id = flow.deploy(
        name=DEPLOYMENT,
        work_pool_name=POOL,
        schedule=Cron(cron, timezone=timezone),
        concurrency_limit=ConcurrencyLimitConfig(limit=1, collision_strategy=ConcurrencyLimitStrategy.CANCEL_NEW),
        job_variables={"working_dir": str(checkout)},
        build=False,
        push=False,
        print_next_steps=False,
        ignore_warnings=True,
    )
    assert isinstance(deployment_id, UUID)
    return deployment_id


def ensure_work_pool() -> None:
    """Create the work pool, whose worker starts each run in its own process."""
    pool = WorkPoolCreate(name=POOL, type="process", base_job_template=ProcessWorker.get_default_base_job_template())
    with get_client(sync_client=True) as client:
        try:
            client.create_work_pool(pool)
        except ObjectAlreadyExists:
            return


def deploy_checkout(*, cron: str, timezone: str) -> UUID:
    """Deploy the flow of the checkout in this folder to the server of `PREFECT_API_URL`, and return the deployment's id.

    Raises:
        ValueError: when no server answers.
    """
    try:
        return deploy(cron=cron, timezone=timezone, checkout=Path.cwd())
    except httpx.ConnectError as error:
        raise ValueError(f"no Prefect server answers at {os.environ.get('PREFECT_API_URL')}; run: cuepoint server") from error
