"""Flow `reproduce`: brings every DVC stage up to date in order, then lets the sealed bundle challenge the champion.

`python -m flows.reproduce` runs it once, and starts a temporary server if `PREFECT_API_URL` names none.
"""

from prefect import flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE

from flows.artefacts import StageTable, show_results
from flows.limits import reserve_gpu
from flows.worker import end_with_worker
from pipeline.dvc.process import DvcError, run_dvc
from pipeline.entry import run_main
from pipeline.tracking.champion import Decision, challenge_champion

STAGES = (
    *("identity", "render", "ingest", "validate", "pretrain", "extract"),
    *("train", "evaluate", "export", "index", "package"),
)
_ATTEMPTS = 2000  # more than a day of waiting for another `dvc`


@flow(name="reproduce", persist_result=False)
def reproduce() -> None:
    """Bring the pipeline of this checkout up to date and decide whether its bundle becomes the champion."""
    end_with_worker()
    table = StageTable(STAGES)
    for stage in STAGES:
        with table.stage(stage):
            reproduce_stage(stage)
    seal_and_challenge()
    show_results()


@task(cache_policy=NO_CACHE, persist_result=False, task_run_name="dvc-{stage}")
def reproduce_stage(stage: str) -> None:
    """Bring one stage up to date, after its upstream stages. DVC skips a stage that is not stale.

    The task waits while another flow holds the GPU, and while another `dvc` uses the same files.
    """
    log = get_run_logger().info
    with reserve_gpu(stage, log=log):
        run_dvc(["repro", "--single-item", stage], log=log, attempts=_ATTEMPTS)


@task(cache_policy=NO_CACHE, persist_result=False, task_run_name="champion")
def seal_and_challenge() -> None:
    """Let the bundle challenge the champion once nothing is stale; a rejection is a result, not a failure."""
    log = get_run_logger().info
    try:
        run_dvc(["status", "--quiet"], log=log)
        decision = challenge_champion()
    except DvcError:
        decision = Decision(False, "the working tree changed while the pipeline ran, so its outputs do not belong together")
    log(f"{'accepted' if decision.accepted else 'rejected'}: {decision.reason}")


def main() -> None:
    """Run the flow once, here and now."""
    try:
        reproduce()
    except DvcError as error:
        raise ValueError(str(error)) from error


if __name__ == "__main__":
    run_main(main, name="reproduce")
