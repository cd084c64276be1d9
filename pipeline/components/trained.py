"""The components of the roles by preset, each with the losses and the training of its preset."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from types import GenericAlias
from typing import Any, Generic, TypeVar

from corpus.params import Params
from corpus.schema_files import load_yaml, validate
from models.contracts.roles import LocalizerParams, RetrieverParams
from models.losses.base import TermParams
from models.training.schema import TrainingParams
from pipeline.components.presets import preset_path
from pipeline.components.slots import load_registry

C = TypeVar("C", bound=Params)

_FIXED = ("name", "streams", "num_cells")  # values that decide what is loaded


@dataclass(frozen=True)
class TrainedComponent(Generic[C]):
    """A component with the losses and the training of its preset; without losses it has nothing to learn, and no training.

    A component without losses may have values to be chosen by the validation split: all combinations of `tuning` are tried.
    """

    component: C
    losses: tuple[TermParams, ...]
    training: TrainingParams | None
    tuning: Mapping[str, Sequence[Any]] = field(default_factory=dict)  # by value of the component: what to choose from

    def list_combinations(self) -> list[dict[str, Any]]:
        """Return every combination of the values to choose from, the last one changing fastest; none without any."""
        if not self.tuning:
            return []
        return [dict(zip(self.tuning, values, strict=True)) for values in product(*self.tuning.values())]

    def fill(self, combination: Mapping[str, Any]) -> C:
        """Return the component with some values replaced."""
        return type(self.component).model_validate(self.component.model_dump() | dict(combination))

    def list_parts(self) -> tuple[Params, ...]:
        """Return all that was chosen: the component, its losses, and the optimizer and the schedule of its training."""
        steps = (self.training.optimizer, self.training.schedule) if self.training else ()
        return (self.component, *self.losses, *steps)

    def require_training(self) -> TrainingParams:
        """Return the training.

        Raises:
            ValueError: when the component has no losses.
        """
        if self.training is None:
            raise ValueError("this component has no losses, so there is nothing to train; add losses and training to its preset")
        return self.training


def load_retriever(preset: str) -> TrainedComponent[RetrieverParams]:
    """Return the retriever that a preset configures, with its losses and training."""
    trained: TrainedComponent[RetrieverParams] = load_trained("retriever", preset)
    return trained


def load_localizer(preset: str) -> TrainedComponent[LocalizerParams]:
    """Return the localizer that a preset configures, with its losses and training."""
    trained: TrainedComponent[LocalizerParams] = load_trained("localizer", preset)
    return trained


def load_blind(preset: str) -> TrainedComponent[LocalizerParams]:
    """Return the text-only floor that a preset configures, with its losses and training."""
    trained: TrainedComponent[LocalizerParams] = load_trained("blind", preset)
    return trained


def load_trained(role: str, preset: str) -> TrainedComponent[Any]:
    """Return the component of a role that a preset configures, with its losses and training.

    Raises:
        ValueError: naming the preset and each wrong key, or the known presets or components, or a training without losses,
            or values to choose from beside losses.
    """
    path = preset_path(role, preset)
    content = load_yaml(path)
    terms = GenericAlias(tuple, (load_registry("loss"), ...))
    losses = validate(terms, content.pop("losses", []), source=path, within="losses")
    values, choices = content.pop("training", None), content.pop("tuning", {})
    component = validate(load_registry(role), content, source=path)
    tuning = _check_tuning(path, load_registry(role), content, choices)
    if not losses:
        if values is not None:
            raise ValueError(f"{path}: training is given without losses; add losses, or remove training")
        return TrainedComponent(component, (), None, tuning)
    if tuning:
        raise ValueError(f"{path}: tuning chooses values of a component without losses, but losses are given; remove one of them")
    return TrainedComponent(component, losses, validate(TrainingParams, values or {}, source=path, within="training"))


def _check_tuning(path: Path, registry: Any, content: Mapping[str, Any], choices: Any) -> dict[str, list[Any]]:
    """Return the values to choose from, each of which the component accepts.

    Raises:
        ValueError: naming a value that the component does not have, that decides what is loaded, or that has nothing to choose.
    """
    tuning: dict[str, list[Any]] = validate(dict[str, list[Any]], choices, source=path, within="tuning")
    for key, values in tuning.items():
        if key in _FIXED:
            raise ValueError(f"{path}: tuning.{key} decides which features are loaded, so it cannot be tuned; set {key} itself")
        if not values:
            raise ValueError(f"{path}: tuning.{key} is empty; give values to choose from, or remove it")
        for value in values:
            validate(registry, {**content, key: value}, source=path)
    return tuning
