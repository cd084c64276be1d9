"""Process of one arm: trains, scores and times it under one tracked run, and writes its record."""

import argparse
import contextlib
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from corpus.files import read_json, write_json
from flows.bench.clock import Clock
from pipeline import paths
from pipeline.entry import run_main
from pipeline.executors.process import die_with_parent

if TYPE_CHECKING:
    from flows.bench.arms import Arm
    from flows.bench.examining import Measured
    from flows.bench.records import Record, TrackedAt, TrainingCost
    from models.training.fitting import FitResult

RECORD = "record.json"
_PAUSES_S = (1.0, 2.0, 4.0, 8.0)  # while MLflow does not know the run yet


def run_arm(arm: "Arm", *, bench: str, threads: int, folder: Path, clock: Clock) -> "Record":
    """Train, score and time an arm; a killed training resumes."""
    from flows.bench.examining import measure_arm
    from flows.bench.given import collect_tags, describe_commit, load_given
    from flows.bench.keys import compute_arm_key
    from flows.bench.records import OUTPUTS, Record, describe_arm
    from pipeline.executors.machine import describe_machine
    from pipeline.training.role_training import train_tracked

    given, tags, checkpoint = load_given(), collect_tags(), folder / "checkpoint"
    found: list[tuple[TrainingCost, Measured]] = []

    def examine(result: "FitResult") -> dict[str, float]:
        cost = measure_training(result, clock, threads)
        measured = measure_arm(arm, checkpoint, given.exam)
        found.append((cost, measured))
        return {**measured.list_metrics(), "training/wall_s": cost.wall_s, "training/cpu_s": cost.cpu_s}

    train_tracked(
        arm.plan,
        given.inputs,
        out_dir=checkpoint,
        cache_dir=paths.find_cache_dir(),
        states_dir=folder / "training",
        tags={**tags, "bench": bench, "bench.arm": arm.name},
        name=arm.name,
        examine=examine,
    )
    ((cost, measured),) = found
    return Record(
        **describe_arm(arm),
        key=compute_arm_key(arm, given.list_rules(arm.group)),
        status="done",
        commit=describe_commit(OUTPUTS),
        machine=describe_machine(),
        corpus=given.corpus,
        dataset=given.dataset,
        wall_s=round(clock.read().wall_s, 1),
        training=cost,
        parameters=measured.parameters,
        scores=measured.scores,
        latency=measured.latency,
        run=find_run(checkpoint),
    )


def measure_training(result: "FitResult", clock: Clock, threads: int) -> "TrainingCost":
    """Return the cost of the training, including the start of the process and the loading of the data."""
    from flows.bench.records import TrainingCost

    spent = clock.read()
    return TrainingCost(
        wall_s=round(spent.wall_s, 1),
        cpu_s=round(spent.cpu_s, 1),
        threads=threads,
        epochs=len(result.curve) if "epoch" in result.best else 0,
        best_epoch=int(result.best.get("epoch", 0)),
        resumed=clock.before.wall_s > 0,
    )


def find_run(checkpoint: Path) -> "TrackedAt | None":
    """Return the MLflow run of a checkpoint, or None when the server never lists it; a busy server lists it a little late."""
    from flows.bench.records import TrackedAt
    from pipeline.tracking.server import TrackingError, find_run
    from pipeline.tracking.tracked_run import deliver_waiting
    from pipeline.training.tracked import RUN

    spool_name = read_json(checkpoint / RUN)["spool"]
    for pause_s in (0.0, *_PAUSES_S):
        time.sleep(pause_s)
        with contextlib.suppress(TrackingError):
            found = find_run(spool_name)
            if found:
                return TrackedAt(**found._asdict())
            deliver_waiting(paths.find_cache_dir() / "tracking")
    return None


def main() -> None:
    """Run the arm that the command line names."""
    parser = argparse.ArgumentParser(prog="python -m flows.bench.arm_run", description=__doc__)
    parser.add_argument("arm", help="name of the arm, from `cuepoint bench list`")
    parser.add_argument("--bench", required=True, help="preset of the bench: presets/bench/<name>.yaml")
    parser.add_argument("--threads", type=int, required=True, help="number of torch threads")
    parser.add_argument("--folder", type=Path, required=True, help="for checkpoint, time so far and record")
    options = parser.parse_args()
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read when torch is loaded
    die_with_parent()
    clock = Clock(options.folder)
    with clock.keep():
        from flows.bench.catalogue import find_arm, load_catalogue
        from pipeline.executors.machine import prepare_torch

        prepare_torch(options.threads)
        arm = find_arm(load_catalogue(options.bench), options.arm)
        record = run_arm(arm, bench=options.bench, threads=options.threads, folder=options.folder, clock=clock)
    write_json(options.folder / RECORD, record.model_dump(mode="json"))


if __name__ == "__main__":
    run_main(main, name="arm")
