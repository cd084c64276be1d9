"""Trainings under a tracked run: reports each epoch, records a failure, and attaches the files of the result."""

import contextlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from corpus.files import NoRoomError, write_json
from models.training.fitting import FitResult
from models.training.learner import Metrics, Report
from pipeline.tracking.tracked_run import TrackedRun

METRICS, CURVES, TUNING, RUN = "metrics.json", "curves.csv", "tuning.csv", "run.json"
COMBINATION = "combination"  # its number, in the rows of a tuning

UNTRAINED = FitResult(curve=[], best={})  # result of a component that is not trained

R = TypeVar("R")


def summarize(result: FitResult) -> dict[str, float]:
    """Return the figures of the epoch that was kept, and how many epochs there were; of a tuning, those of its combinations."""
    best = dict(result.best)
    step = COMBINATION if COMBINATION in best else "epoch"
    kept = {f"best_{step}": int(best.pop(step))} if best else {}
    return {**kept, f"{step}s": len(result.curve), **best}


def run_tracked(run: TrackedRun, work: Callable[[Report], R]) -> R:
    """Call `work`, which reports the row of each epoch; a failure or an interruption is recorded in the run."""

    def report(row: Metrics) -> None:
        run.log(int(row["epoch"]), {name: value for name, value in row.items() if name != "epoch"})

    try:
        return work(report)
    except BaseException as error:
        with contextlib.suppress(NoRoomError):  # a full disk that stopped the training is reported by the training
            run.end("FAILED" if isinstance(error, Exception) else "KILLED")
        raise


def finish_run(run: TrackedRun, out_dir: Path, *, metrics: Mapping[str, float], files: tuple[str, ...]) -> None:
    """End a run with its final metrics and files of `out_dir`, and write its id there."""
    contents = {name: (out_dir / name).read_bytes() for name in files}
    write_json(out_dir / RUN, {"run_id": run.end("FINISHED", metrics=metrics, files=contents), "spool": run.spool.name})
