"""Tuning of a role without losses: its few values are chosen by the validation split."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from corpus.records import VALIDATION
from models.training.fitting import FitResult
from models.training.learner import Metrics
from pipeline.training.inputs import TrainInputs, measure_dims
from pipeline.training.roles import ROLES, TrainPlan, require_streams
from pipeline.training.tracked import COMBINATION

Table = list[dict[str, Any]]


class Tuned(NamedTuple):
    """A component with the values that were chosen for it."""

    component: Any
    result: FitResult  # the metrics of each combination, and those of the best one
    table: Table  # of each combination: its number, its values and its metrics


def tune(plan: TrainPlan, inputs: TrainInputs) -> Tuned:
    """Try every combination of values on the validation split and take the best, of equal ones the first.

    The best is the one with the highest metric that also chooses the epoch of a training. Nothing is drawn, so the same
    features give the same choice. Without validation queries the preset's own values stay, with a warning.
    """
    require_streams(plan, inputs.store)
    combinations = plan.chosen.list_combinations()
    if not inputs.corpus.of_split(VALIDATION).queries:
        warnings.warn("the corpus has no query in the split 'val': the preset's own values are kept", stacklevel=2)
        return Tuned(plan.chosen.component, FitResult(curve=[], best={}), [])
    rows = _measure(plan, inputs, combinations)
    best = find_best(rows, ROLES[plan.role].module.monitor)
    curve = [{COMBINATION: float(number), **row} for number, row in enumerate(rows)]
    table = [{COMBINATION: number, **combinations[number], **row} for number, row in enumerate(rows)]
    return Tuned(plan.chosen.fill(combinations[best]), FitResult(curve, curve[best]), table)


def find_best(rows: Sequence[Metrics], metric: str) -> int:
    """Return the number of the row with the highest metric, the first of equal ones."""
    return max(range(len(rows)), key=lambda number: rows[number][metric])


def _measure(plan: TrainPlan, inputs: TrainInputs, combinations: Sequence[Mapping[str, Any]]) -> list[Metrics]:
    role, component = ROLES[plan.role], plan.chosen.component
    dims = measure_dims(inputs, component.streams)
    models = [plan.chosen.fill(combination).build(dims).eval() for combination in combinations]
    return role.measure(models, role.load_data(component, inputs, VALIDATION))
