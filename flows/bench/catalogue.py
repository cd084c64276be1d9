"""The arms of a bench: every preset of a role and every loss, and what `presets/bench/<name>.yaml` adds or leaves out."""

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import NonNegativeInt, PositiveFloat, PositiveInt, TypeAdapter

from corpus.params import Params
from corpus.schema_files import load_yaml, validate
from flows.bench.arms import Arm, Group, Use, describe_loss, name_of
from models.losses import LossParams
from models.losses.base import TermParams
from models.training.schema import TrainingParams
from pipeline.components.listing import list_components
from pipeline.components.presets import preset_path
from pipeline.components.trained import TrainedComponent, load_localizer
from pipeline.training.roles import TrainPlan, load_plan

_GROUPS: Mapping[str, Group] = {"localizer": "localizer", "retriever": "retriever", "blind": "floor"}


class LossArms(Params):
    """Choices of the loss comparison: all losses train the same localizer preset for the same number of epochs.

    A loss of the registry that is not listed is trained beside the preset's own losses, with its defaults and `weight`.
    """

    localizer: str
    max_epochs: PositiveInt
    seeds: tuple[NonNegativeInt, ...] = ()  # further seeds of the preset's own losses: they show the spread due to chance
    weight: PositiveFloat = 0.1
    alone: tuple[LossParams, ...] = ()  # in place of the preset's losses
    beside: tuple[LossParams, ...] = ()  # added to them


class Catalogue(Params):
    """The choices of a bench."""

    seed: NonNegativeInt
    max_wall_s: PositiveFloat  # of an arm, over all its processes
    losses: LossArms
    left_out: Mapping[str, Mapping[str, str]] = {}  # role or `loss` -> preset or loss -> reason for having no arm


def load_catalogue(name: str) -> Catalogue:
    """Read a bench's choices.

    Raises:
        ValueError: naming each wrong key, and each name in `left_out` that is unknown or that also has an arm.
    """
    path = preset_path("bench", name)
    catalogue: Catalogue = validate(Catalogue, load_yaml(path), source=path)
    for slot, reasons in catalogue.left_out.items():
        known = list_names(slot)
        for left in reasons:
            if left not in known:
                raise ValueError(f"{path}: left_out.{slot}.{left}: no such {slot}; known: {', '.join(known) or 'none'}")
    both = {name_of(loss) for loss in (*catalogue.losses.alone, *catalogue.losses.beside)} & {*catalogue.left_out.get("loss", {})}
    if both:
        raise ValueError(f"{path}: {', '.join(sorted(both))}: both left out and listed as losses; remove one of the two")
    return catalogue


def list_arms(catalogue: Catalogue) -> list[Arm]:
    """Return the arms in the order of the page; their names are unique.

    Raises:
        ValueError: when two arms would be the same.
    """
    arms = [*_iterate_components(catalogue), *_iterate_losses(catalogue)]
    names = [arm.name for arm in arms]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"the bench has {', '.join(twice)} twice; remove one of them from presets/bench")
    return arms


def find_arm(catalogue: Catalogue, name: str) -> Arm:
    """Return an arm by name.

    Raises:
        ValueError: naming the known arms.
    """
    arms = {arm.name: arm for arm in list_arms(catalogue)}
    if name not in arms:
        raise ValueError(f"no arm is called {name!r}; known: {', '.join(arms)}")
    return arms[name]


def list_names(slot: str) -> list[str]:
    """Return the names that arms may have: the presets of a role, or the losses of the registry; none for another slot."""
    if slot in _GROUPS:
        return sorted(path.stem for path in preset_path(slot, "any").parent.glob("*.yaml"))
    return list(list_components(slot)) if slot == "loss" else []


def _iterate_components(catalogue: Catalogue) -> Iterator[Arm]:
    for role, group in _GROUPS.items():
        for name in list_names(role):
            if name not in catalogue.left_out.get(role, {}):
                yield Arm(f"{group}/{name}", group, load_plan(role, name, catalogue.seed))


def _iterate_losses(catalogue: Catalogue) -> Iterator[Arm]:
    chosen, choices = load_localizer(catalogue.losses.localizer), catalogue.losses
    training = shorten(chosen.require_training(), choices.max_epochs)

    def build(use: Use, shown: TermParams, losses: tuple[TermParams, ...], seed: int = catalogue.seed) -> Arm:
        name = {
            "own": name_of(shown),
            "repeat": f"{name_of(shown)}/seed-{seed}",
            "alone": describe_loss(shown),
            "added": f"+{describe_loss(shown)}",
        }[use]
        return Arm(
            f"loss/{name}", "loss", TrainPlan("localizer", TrainedComponent(chosen.component, losses, training), seed), shown, use
        )

    own = chosen.losses[0]
    yield build("own", own, chosen.losses)
    yield from (build("repeat", own, chosen.losses, seed) for seed in choices.seeds)
    yield from (build("alone", loss, (loss,)) for loss in choices.alone)
    for loss in (*choices.beside, *_iterate_unnamed(catalogue, own)):
        yield build("added", loss, (*chosen.losses, loss))


def _iterate_unnamed(catalogue: Catalogue, own: TermParams) -> Iterator[TermParams]:
    """Yield the losses of the registry that the bench neither names nor leaves out."""
    choices = catalogue.losses
    named = {name_of(loss) for loss in (own, *choices.alone, *choices.beside)} | {*catalogue.left_out.get("loss", {})}
    for name in list_names("loss"):
        if name not in named:
            loss: Any = TypeAdapter(LossParams).validate_python({"name": name, "weight": choices.weight})
            yield loss


def shorten(training: TrainingParams, max_epochs: int) -> TrainingParams:
    """Return a training of exactly `max_epochs` epochs."""
    return TrainingParams.model_validate(training.model_dump() | {"max_epochs": max_epochs, "patience_epochs": 0})
