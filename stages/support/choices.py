"""What can be chosen: the components of every slot with one line each, as commands print it for `--help`."""

from collections.abc import Sequence
from importlib import import_module
from typing import Any, NamedTuple, get_args

from pydantic import BaseModel


class Slot(NamedTuple):
    """Where the registry of a slot lies, and where a component of it is chosen."""

    module: str
    registry: str
    chosen_by: str


_MODEL = "params.yaml: train.models.{0}, values in presets/{0}/"
_PRESET = "a preset: {0}"
SLOTS = {
    "encoder": Slot("models.encoders", "EncoderParams", "params.yaml: pretrain.encoder, values in presets/encoder/"),
    "text_encoder": Slot(
        "models.text_encoders", "TextEncoderParams", "params.yaml: pretrain.text_encoder, values in presets/text_encoder/"
    ),
    "objective": Slot("models.objectives", "ObjectiveParams", "params.yaml: pretrain.objective, values in presets/objective/"),
    "retriever": Slot("models.retrievers", "RetrieverParams", _MODEL.format("retriever")),
    "localizer": Slot("models.localizers", "LocalizerParams", _MODEL.format("localizer")),
    "blind": Slot("models.blinds", "BlindParams", _MODEL.format("blind")),
    "loss": Slot("models.losses", "LossParams", _PRESET.format("its list losses")),
    "optimizer": Slot("models.optimizers", "OptimizerParams", _PRESET.format("training.optimizer")),
    "schedule": Slot("models.schedules", "ScheduleParams", _PRESET.format("training.schedule")),
}


def list_components(slot: str) -> dict[str, type[BaseModel]]:
    """Return the schemas of a slot's components by name, in alphabetical order."""
    registry = getattr(import_module(SLOTS[slot].module), SLOTS[slot].registry)
    members = {get_args(model.model_fields["name"].annotation)[0]: model for model in _list_models(registry)}
    return dict(sorted(members.items()))


def describe_slots(slots: Sequence[str]) -> str:
    """Return the components of some slots, each with the first line of its module."""
    return "\n\n".join(_describe_slot(slot) for slot in slots)


def _describe_slot(slot: str) -> str:
    components = list_components(slot)
    width = max(map(len, components))
    rows = [f"  {name:{width}}  {_read_summary(model)}" for name, model in components.items()]
    return "\n".join([f"{slot} ({SLOTS[slot].chosen_by}):", *rows])


def _read_summary(model: type[BaseModel]) -> str:
    return str(import_module(model.__module__).__doc__).partition("\n")[0]


def _list_models(registry: Any) -> list[type[BaseModel]]:
    if isinstance(registry, type):
        return [registry] if issubclass(registry, BaseModel) else []
    return [model for argument in get_args(registry) for model in _list_models(argument)]
