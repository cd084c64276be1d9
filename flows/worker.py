"""The tie between a flow run and the worker that started it: the run ends when its worker dies."""

from prefect.runtime import deployment

from pipeline.executors.process import die_with_parent


def end_with_worker() -> None:
    """End this run, and all processes of its stages, when the worker dies; a run without a deployment has no worker.

    Nobody would cancel the run of a dead worker, and Prefect would start a second run beside it.
    """
    if deployment.id:
        die_with_parent()
