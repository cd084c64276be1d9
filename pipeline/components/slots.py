"""The slots: the registry of each, and the key that chooses its component."""

from importlib import import_module
from typing import Any, NamedTuple


class Slot(NamedTuple):
    """The registry of a slot, and the key that chooses a component."""

    module: str
    registry: str
    chosen_by: str


_PRETRAIN = "params.yaml: pretrain.{0}, a preset of presets/{0}/"
_MODEL = "params.yaml: train.models.{0}, a preset of presets/{0}/"
_PRESET = "a preset: {0}"
SLOTS = {
    "reader": Slot("corpus.readers", "ReaderParams", "params.yaml: corpus.reader"),
    "encoder": Slot("models.encoders", "EncoderParams", "params.yaml: pretrain.streams, a preset of presets/encoder/ each"),
    "text_encoder": Slot("models.encoders.text", "TextEncoderParams", _PRETRAIN.format("text_encoder")),
    "pair": Slot("models.encoders.pairs", "PairParams", "params.yaml: pretrain.encoder, a preset of presets/pair/"),
    "objective": Slot("models.objectives", "ObjectiveParams", _PRETRAIN.format("objective")),
    "retriever": Slot("models.retrievers", "RetrieverParams", _MODEL.format("retriever")),
    "localizer": Slot("models.localizers", "LocalizerParams", _MODEL.format("localizer")),
    "blind": Slot("models.blinds", "BlindParams", _MODEL.format("blind")),
    "loss": Slot("models.losses", "LossParams", _PRESET.format("its list losses")),
    "optimizer": Slot("models.optimizers", "OptimizerParams", _PRESET.format("training.optimizer")),
    "schedule": Slot("models.schedules", "ScheduleParams", _PRESET.format("training.schedule")),
}


def load_registry(slot: str) -> Any:
    """Return the union of a slot's schemas. Code identity does not follow this import, so callers name what they build."""
    return getattr(import_module(SLOTS[slot].module), SLOTS[slot].registry)
