"""Roles: the preset, the data and the module of each, and the untrained module that a plan describes."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from corpus.records import TRAIN, VALIDATION
from corpus.store import FeatureStore
from models.contracts.batches import LossDims
from models.contracts.roles import Localizer, Retriever
from models.losses.base import LearnedTermParams, WeightedLosses
from models.training.data import LocalizerData, RetrieverData
from models.training.learner import Metrics, Report
from models.training.localizer import LocalizerModule, measure_localizers
from models.training.retriever import RetrieverModule, measure_retrievers
from models.training.role_module import RoleModule
from pipeline.components.trained import TrainedComponent, load_blind, load_localizer, load_retriever
from pipeline.training.inputs import TrainInputs, load_localizer_data, load_retriever_data, measure_dims


@dataclass(frozen=True, slots=True)
class TrainPlan:
    """A role, its component with losses and training, and the seed."""

    role: str
    chosen: TrainedComponent[Any]
    seed: int

    def to_json(self) -> dict[str, Any]:
        """Return all values."""
        values = {
            "role": self.role,
            "component": self.chosen.component.model_dump(mode="json"),
            "losses": [loss.model_dump(mode="json") for loss in self.chosen.losses],
            "training": self.chosen.training and self.chosen.training.model_dump(mode="json"),
            "seed": self.seed,
        }
        return values | ({"tuning": dict(self.chosen.tuning)} if self.chosen.tuning else {})


@dataclass(frozen=True, slots=True)
class Role:
    """The parts of a role: the reader of its preset, its training data, its module, and the measurement of several models."""

    load_component: Callable[[str], TrainedComponent[Any]]
    load_data: Callable[[Any, TrainInputs, str], Any]
    module: type[Any]  # of RoleModule
    measure: Callable[[Sequence[Any], Any], list[Metrics]]  # on the data of a split
    is_floor: bool = False  # stays untrained where there is nothing to learn from; the report then gives the reason


ROLES: Mapping[str, Role] = {
    "retriever": Role(load_retriever, load_retriever_data, RetrieverModule, measure_retrievers),
    "localizer": Role(load_localizer, load_localizer_data, LocalizerModule, measure_localizers),
    "blind": Role(load_blind, load_localizer_data, LocalizerModule, measure_localizers, is_floor=True),
}


def load_plan(role: str, preset: str, seed: int) -> TrainPlan:
    """Read the preset of a role."""
    return TrainPlan(role, ROLES[role].load_component(preset), seed)


def build_module(plan: TrainPlan, inputs: TrainInputs, report: Report | None = None) -> RoleModule:
    """Build the untrained model of a role with its data.

    Raises:
        ValueError: when the corpus has no training queries, or the store lacks a stream.
    """
    role = ROLES[plan.role]
    component = plan.chosen.component
    if not inputs.has_lessons:
        raise ValueError(
            f"the {plan.role} learns from sentences, but the corpus has no query in the split 'train'; add annotated videos, "
            "lower ingest.test_share, or take models that learn nothing: dvc exp run -S train.models.retriever=shared_space "
            "-S train.models.localizer=readout_shots"
        )
    require_streams(plan, inputs.store)
    train_data = role.load_data(component, inputs, TRAIN)
    has_validation = bool(inputs.corpus.of_split(VALIDATION).queries)
    if not has_validation:
        warnings.warn("the corpus has no query in the split 'val', so training keeps the last epoch, not the best", stacklevel=2)
    model = component.build(measure_dims(inputs, component.streams))
    module: RoleModule = role.module(
        model,
        WeightedLosses(plan.chosen.losses, measure_loss_dims(plan, model, train_data)),
        plan.chosen.require_training(),
        train=train_data,
        validation=role.load_data(component, inputs, VALIDATION) if has_validation else None,
        seed=plan.seed,
        report=report,
    )
    return module


def require_streams(plan: TrainPlan, store: FeatureStore) -> None:
    """Refuse a model that reads a stream which the store lacks.

    Raises:
        ValueError: naming the model, the streams, and the remedy.
    """
    component = plan.chosen.component
    missing = [name for name in component.streams if name not in store.streams]
    if missing:
        held = list(store.streams)
        raise ValueError(
            f"the {plan.role} {component.name} reads the streams {', '.join(component.streams)}, but {store.folder} holds "
            f"{', '.join(held)}; add a stream: dvc exp run -S +pretrain.streams.{missing[0]}=PRESET (of presets/encoder/), "
            f"or read others: dvc exp run -S 'presets/{plan.role}/PRESET.yaml:streams=[{','.join(held)}]'"
        )


def measure_loss_dims(plan: TrainPlan, model: Localizer | Retriever, data: LocalizerData | RetrieverData) -> LossDims:
    """Return the dimensions for losses with parameters; classes are counted only if a loss needs them."""
    learned = any(isinstance(term, LearnedTermParams) for term in plan.chosen.losses)
    labels = data.queries.labels._asdict() if learned else {}
    return LossDims(model.embedding_dim, {name: int(part.max()) + 1 for name, part in labels.items()})
