"""List of the components of every slot, one line each, for `--help`."""

from collections.abc import Sequence
from importlib import import_module
from typing import Any, get_args

from pydantic import BaseModel

from pipeline.components.slots import SLOTS, load_registry


def list_components(slot: str) -> dict[str, type[BaseModel]]:
    """Return the schemas of a slot's components by name, in alphabetical order."""
    models = _list_models(load_registry(slot))
    members = {get_args(model.model_fields["name"].annotation)[0]: model for model in models}
    return dict(sorted(members.items()))


def describe_slots(slots: Sequence[str]) -> str:
    """Return the components of the given slots, each with the first line of its module."""
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
