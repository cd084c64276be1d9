"""The components that a stage builds: `params.yaml` chooses presets, and presets name components."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel

from corpus.code import find_registry
from corpus.schema_files import load_yaml, validate
from corpus.stream_names import VIDEO
from pipeline.components.presets import NO_OBJECTIVE, preset_path
from pipeline.components.slots import SLOTS

_ENCODERS = ("pair", "encoder", "text_encoder")
# The slots whose components each stage builds, in addition to the role of a training. A trained component, a role or an
# objective, also brings its losses, optimizer and schedule.
_BUILT = {
    "ingest": ("reader",),
    "pretrain": (*_ENCODERS, "objective"),
    "extract": _ENCODERS,
    "train": _ENCODERS,
    "evaluate": (*_ENCODERS, "retriever", "localizer", "blind"),
    "export": (*_ENCODERS, "retriever", "localizer"),
}
_FROM_VIDEOS = ("encoder", "objective")  # built only if features are made from videos


class _Named(BaseModel):
    name: str | None = None


class _Training(BaseModel):
    optimizer: _Named = _Named()
    schedule: _Named = _Named()


class _Sampling(BaseModel):
    kind: Literal["pictures", "sound"] = "pictures"


class _Encoder(BaseModel):
    """The values that decide which clips an encoder reads."""

    sampling: _Sampling = _Sampling()


class _Preset(BaseModel):
    """The choices of a preset; its other values are read when its component is built."""

    name: str
    losses: tuple[_Named, ...] = ()
    training: _Training | None = None


class _Choice(NamedTuple):
    """A component of a slot, and the key that names it; no name stands for the slot's default."""

    slot: str
    name: str | None
    source: Path
    key: str


def list_chosen(stage: str, role: str, params: Mapping[str, Any]) -> list[str]:
    """Return the modules of the components that a stage builds.

    Raises:
        ValueError: naming the file and the key that choose an unregistered component.
    """
    return [_find_module(choice) for choice in _iterate_choices(stage, role, params)]


def list_stream_values(stage: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of the encoders' presets that a stage reads, by stream: all values, the kind of clips, or nothing.

    `dvc.yaml` lists the other presets by name. It cannot list these, because there may be any number of streams.
    """
    if stage == "pretrain":
        return _load_stream_presets(params) or _load_pair(params)
    return list_stream_kinds(params) if stage == "validate" else {}


def list_stream_kinds(params: Mapping[str, Any]) -> dict[str, str]:
    """Return the input of each stream's encoder, "pictures" or "sound"; nothing if features come from files."""
    return {name: _Encoder.model_validate(preset).sampling.kind for name, preset in _load_stream_presets(params).items()}


def _load_stream_presets(params: Mapping[str, Any]) -> dict[str, Any]:
    if "encoder" not in _list_built("pretrain", params["corpus"]["features"]):
        return {}
    return {name: load_yaml(preset_path(slot, preset)) for name, (slot, preset) in _list_streams(params["pretrain"]).items()}


def _load_pair(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the preset of a pair of which only the text encoder is built, because features come from files."""
    name = params["pretrain"]["encoder"]
    return {} if name is None else {"text_encoder": load_yaml(preset_path("pair", name))}


def _iterate_choices(stage: str, role: str, params: Mapping[str, Any]) -> Iterator[_Choice]:
    models = params["train"]["models"]
    presets = {**_list_pretrained(params["pretrain"]), **{slot: [name] for slot, name in models.items()}}
    for slot in _list_built(stage, params["corpus"]["features"]):
        if slot == "reader":
            yield _Choice(slot, params["corpus"]["reader"], Path("params.yaml"), "corpus.reader")
            continue
        for name in presets[slot]:
            path, preset = _load_preset(slot, name)
            yield _Choice(slot, preset.name, path, "name")
            if slot == "objective":
                yield from _iterate_training(path, preset)
    if role:
        path, preset = _load_preset(role, models[role])
        yield _Choice(role, preset.name, path, "name")
        yield from _iterate_training(path, preset)


def _list_pretrained(chosen: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return by slot the presets that `pretrain` of params.yaml chooses; a pair stands for its text encoder and objective."""
    streams = [preset for slot, preset in _list_streams(chosen).values() if slot == "encoder"]
    if chosen["encoder"] is None:
        return {"pair": [], "encoder": streams, "text_encoder": [chosen["text_encoder"]], "objective": [chosen["objective"]]}
    return {"pair": [chosen["encoder"]], "encoder": streams, "text_encoder": [], "objective": [NO_OBJECTIVE]}


def _list_streams(chosen: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """Return by stream the slot and the preset of its encoder; a pair encodes `video`."""
    streams = {name: ("encoder", preset) for name, preset in chosen["streams"].items()}
    return streams if chosen["encoder"] is None else {**streams, VIDEO: ("pair", chosen["encoder"])}


def _list_built(stage: str, features: str) -> list[str]:
    """Return the slots whose components a stage builds."""
    slots = _BUILT.get(stage, ())
    from_files = {*_FROM_VIDEOS} & {*slots} and load_yaml(preset_path("features", features)).get("streams")
    return [slot for slot in slots if not (from_files and slot in _FROM_VIDEOS)]


def _iterate_training(path: Path, preset: _Preset) -> Iterator[_Choice]:
    for number, loss in enumerate(preset.losses):
        yield _Choice("loss", loss.name, path, f"losses.{number}.name")
    if preset.training:
        yield _Choice("optimizer", preset.training.optimizer.name, path, "training.optimizer.name")
        yield _Choice("schedule", preset.training.schedule.name, path, "training.schedule.name")


def _load_preset(slot: str, name: str) -> tuple[Path, _Preset]:
    path = preset_path(slot, name)
    preset: _Preset = validate(_Preset, load_yaml(path), source=path)
    return path, preset


def _find_module(choice: _Choice) -> str:
    registry = find_registry(SLOTS[choice.slot].module)
    for component in registry:
        if component.name == choice.name or (choice.name is None and component.is_default):
            return component.module
    key, known = f"{choice.source}: {choice.key}", ", ".join(sorted(component.name for component in registry))
    if choice.name is None:
        raise ValueError(f"the key {key} is missing; known: {known}")
    raise ValueError(f"{key} = {choice.name!r} is unknown; known: {known}")
