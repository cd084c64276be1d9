"""Registers the flow with its schedule: process work pool, GPU limit, deployment. Running it again changes nothing."""

import argparse
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
from stages.support.entry import run_main

POOL = "cuepoint"
DEPLOYMENT = "scheduled"


def deploy(*, cron: str, timezone: str, checkout: Path) -> UUID:
    """Create or update everything that a scheduled run in `checkout` needs, and return the deployment's id.

    A run that is due while another is still at work is cancelled: runs never pile up.
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
    """Create the pool whose worker starts each run as a process of its own."""
    pool = WorkPoolCreate(name=POOL, type="process", base_job_template=ProcessWorker.get_default_base_job_template())
    with get_client(sync_client=True) as client:
        try:
            client.create_work_pool(pool)
        except ObjectAlreadyExists:
            return


def parse_arguments() -> argparse.Namespace:
    """Read the schedule from the command line."""
    parser = argparse.ArgumentParser(prog="python -m flows.deploy", description=__doc__)
    parser.add_argument("--cron", default="0 3 * * *", help="when to run: minute hour day month weekday")
    parser.add_argument("--timezone", default="UTC", help="of the schedule, for instance Europe/Berlin")
    return parser.parse_args()


def main() -> None:
    """Deploy the flow of this checkout to the server of `PREFECT_API_URL`."""
    arguments = parse_arguments()
    server = os.environ.get("PREFECT_API_URL")
    if not server:
        raise ValueError("PREFECT_API_URL names no server; run: make server, and in another terminal: make deploy")
    try:
        deploy(cron=arguments.cron, timezone=arguments.timezone, checkout=Path.cwd())
    except httpx.ConnectError as error:
        raise ValueError(f"no Prefect server answers at {server}; run: make server") from error
    print(f"the flow 'reproduce' runs at {arguments.cron!r} ({arguments.timezone}); its worker: make worker")


if __name__ == "__main__":
    run_main(main, name="deploy")
