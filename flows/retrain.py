"""Flow `retrain`: brings the pipeline up to date, seals it, lets the bundle pass the gate, and promotes it.

`python -m flows.retrain` runs it once, and starts a temporary server if `PREFECT_API_URL` names none. New data, a due date
or drift start it; the same data, values and code train once, because DVC skips what is up to date.
"""

import sys

from prefect import flow, get_run_logger, task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.states import Completed

from flows.artefacts import StageTable, show_results
from flows.claim import claim_run
from flows.reproduce import STAGES, reproduce_stage
from flows.retraining.judging import Verdict, judge_and_promote
from pipeline import paths
from pipeline.dvc.process import DvcError
from pipeline.entry import run_main
from pipeline.executors.process import AlreadyRunningError, hold_lock
from pipeline.retraining.seal import UnsealedError, seal
from pipeline.tracking.promotions import describe_user

_STATES = {"promoted": "Promoted", "rejected": "Rejected", "nothing to do": "NothingToDo", "already running": "AlreadyRunning"}


@flow(name="retrain", persist_result=False)
def retrain(why: str = "the schedule") -> State[None]:
    """Retrain and decide about the bundle; `why` says what started the run. A rejection is a result, not a failure."""
    claim_run()
    try:
        with hold_lock(paths.find_cache_dir() / "locks" / "retrain.lock", what="the flow retrain"):
            table = StageTable(STAGES)
            for stage in STAGES:
                with table.stage(stage):
                    reproduce_stage(stage)
            verdict = seal_and_judge(why)
            show_results()
    except AlreadyRunningError as error:
        verdict = Verdict("already running", str(error), f"## Already running\n\n{error}.\n")
    get_run_logger().info(f"{verdict.outcome}: {verdict.reason}")
    return Completed(name=_STATES[verdict.outcome], message=verdict.reason)


@task(cache_policy=NO_CACHE, persist_result=False, task_run_name="gate")
def seal_and_judge(why: str) -> Verdict:
    """Seal the finished pipeline, judge its bundle, and show the decision as an artifact."""
    try:
        verdict = judge_and_promote(seal(get_run_logger().info), who=f"flow retrain of {describe_user()}", why=why)
    except UnsealedError as error:
        verdict = Verdict("rejected", str(error), f"## Rejected: not sealed\n\n{error}.\n")
    create_markdown_artifact(key="gate", markdown=verdict.page, description=f"{verdict.outcome}: {verdict.reason}"[:250])
    return verdict


def retrain_here(why: str) -> str:
    """Run the flow once in this process and return its outcome with the reason.

    Raises:
        ValueError: with the end of DVC's output, when a stage fails.
    """
    try:
        state = retrain(why, return_state=True)
        if not state.is_completed():
            state.result()  # raises the error of the flow
    except DvcError as error:
        raise ValueError(str(error)) from error
    return f"{state.name}: {state.message}"


def main() -> None:
    """Run the flow once, here and now; the first argument says why."""
    print(retrain_here(*(sys.argv[1:2] or ["a person asked"])))


if __name__ == "__main__":
    run_main(main, name="retrain")
