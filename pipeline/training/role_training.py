"""Training of one role under a tracked run: the resumable state, the checkpoint folder and its figures."""

import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from corpus.files import write_bytes, write_json
from models.artefacts.checkpoint import CONFIG, CheckpointConfig, save_checkpoint
from models.training.fitting import FitResult, fit
from models.training.learner import Report
from models.training.schema import derive_seed
from pipeline.executors.machine import choose_device
from pipeline.identity import find_code
from pipeline.resumable import open_state
from pipeline.tracking.tracked_run import TrackedRun, flatten
from pipeline.training.curves import format_csv
from pipeline.training.inputs import TrainInputs, measure_dims, measure_longest
from pipeline.training.roles import TrainPlan, build_module
from pipeline.training.tracked import COMBINATION, CURVES, METRICS, TUNING, UNTRAINED, finish_run, run_tracked, summarize
from pipeline.training.tuning import Table, Tuned, tune

Examine = Callable[[FitResult], Mapping[str, float]]


def train(plan: TrainPlan, inputs: TrainInputs, *, out_dir: Path, state_dir: Path, report: Report | None = None) -> FitResult:
    """Train one role and write its checkpoint folder; `report` receives the row of each epoch.

    After every epoch the state goes to `state_dir`; a training that was killed goes on there and ends with the same bytes.
    A role without losses is written untrained. If its preset has a choice of values, the validation split chooses them.
    """
    torch.manual_seed(derive_seed(plan.seed, plan.role))
    made = _make(plan, inputs, state_dir, report)
    streams = plan.chosen.component.streams
    config = CheckpointConfig(
        role=plan.role,
        component=made.component.model_dump(mode="json"),
        dims=measure_dims(inputs, streams),
        fingerprint=inputs.store.combine_fingerprint(streams),
        text_digest=inputs.encoders.text_digest,
        longest_s=measure_longest(inputs.corpus),
    )
    save_checkpoint(out_dir, made.model, config)
    write_json(out_dir / METRICS, summarize(made.result))
    epochs = made.result.curve if plan.chosen.losses else []
    write_bytes(out_dir / CURVES, format_csv(epochs, empty=("epoch", "train/loss")))
    if plan.chosen.tuning:
        write_bytes(out_dir / TUNING, format_csv(made.table, empty=(COMBINATION, *plan.chosen.tuning)))
    return made.result


class _Made(NamedTuple):
    """A role that is ready to be written: the component with its final values, the model, and how it came about."""

    component: Any
    model: nn.Module
    result: FitResult
    table: Table  # of a tuning


def _make(plan: TrainPlan, inputs: TrainInputs, state_dir: Path, report: Report | None) -> _Made:
    chosen = plan.chosen
    if chosen.losses:
        module = build_module(plan, inputs, report)
        result = fit(module, state_dir=state_dir, device=choose_device(), show_progress=sys.stderr.isatty())
        return _Made(chosen.component, module.model, result, [])
    component, result, table = tune(plan, inputs) if chosen.tuning else Tuned(chosen.component, UNTRAINED, [])
    return _Made(component, component.build(measure_dims(inputs, component.streams)).eval(), result, table)


def open_training(folder: Path, plan: TrainPlan, inputs: TrainInputs) -> Path:
    """Return the folder of a training's resumable state, which never meets other code, values or data."""
    chosen = plan.chosen
    return open_state(
        folder,
        f"train {plan.role}",
        find_code(train, *map(type, (*chosen.list_parts(), inputs.encoders.text))),
        values=plan.to_json(),
        data=inputs.to_json(chosen.component.streams),
        machine=[torch.__version__, torch.get_num_threads(), str(choose_device())],
    )


def train_tracked(
    plan: TrainPlan,
    inputs: TrainInputs,
    *,
    out_dir: Path,
    cache_dir: Path,
    tags: Mapping[str, str],
    states_dir: Path | None = None,
    name: str | None = None,
    examine: Examine | None = None,
) -> FitResult:
    """Train one role under a tracked run, and remove the resumable state after its result is written.

    A role with neither losses nor values to choose needs neither. The state lies in `states_dir`, or in a folder of the
    cache. The run goes by the role, or by `name`. `examine` looks at what was written; what it measures becomes part of
    the run.
    """
    if not plan.chosen.losses and not plan.chosen.tuning:
        return train(plan, inputs, out_dir=out_dir, state_dir=out_dir)
    state_dir = open_training(states_dir or cache_dir / "training", plan, inputs)
    digest = inputs.store.combine_fingerprint(plan.chosen.component.streams).digest
    tags = {**tags, "role": plan.role, "features": digest, "cuepoint.key": state_dir.name}
    run = TrackedRun(cache_dir / "tracking", state_dir, name=name or plan.role, params=flatten(plan.to_json()), tags=tags)

    def work(report: Report) -> tuple[FitResult, Mapping[str, float]]:
        result = train(plan, inputs, out_dir=out_dir, state_dir=state_dir, report=report)
        return result, examine(result) if examine else {}

    result, measured = run_tracked(run, work)
    metrics = {f"best/{figure}": value for figure, value in result.best.items()} | dict(measured)
    finish_run(run, out_dir, metrics=metrics, files=(CONFIG, METRICS, TUNING if plan.chosen.tuning else CURVES))
    shutil.rmtree(state_dir, ignore_errors=True)
    return result
