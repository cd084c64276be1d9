"""Encoders, objectives and feature files by preset: reads `presets/<slot>/<preset>.yaml`, whose `name` is the component.

A registry is imported when its slot is first used, so a stage that trains nothing never loads torch.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from corpus.feature_files.schema import FeatureFilesParams
from corpus.schema_files import load_yaml, validate
from corpus.stream_names import VIDEO
from pipeline.components.presets import NO_OBJECTIVE, preset_path
from pipeline.components.slots import load_registry
from pipeline.params import PipelineParams

if TYPE_CHECKING:
    from models.contracts.roles import ClipEncoderParams, EncoderPairParams, TextEncoderParams
    from models.objectives.base import ObjectiveParams


class Pretraining(NamedTuple):
    """What pretraining starts from."""

    streams: "Mapping[str, ClipEncoderParams]"  # empty if features come from files
    text_encoder: "TextEncoderParams"
    objective: "ObjectiveParams"


def load_pretraining(params: PipelineParams) -> Pretraining:
    """Return the encoders and the objective that `params.yaml` chooses; a pair stands for the three of them."""
    chosen, from_files = params.pretrain, bool(load_features(params.corpus.features).streams)
    if chosen.encoder is None:
        streams = {} if from_files else load_encoders(chosen.streams)
        return Pretraining(streams, load_text_encoder(chosen.text_encoder), load_objective(chosen.objective))
    pair = load_pair(chosen.encoder).expand()
    others = load_encoders({name: preset for name, preset in chosen.streams.items() if name != VIDEO})
    return Pretraining({} if from_files else {VIDEO: pair.video, **others}, pair.text, load_objective(NO_OBJECTIVE))


def load_features(preset: str) -> FeatureFilesParams:
    """Return the feature files of a preset, without streams if encoders make the features."""
    path = preset_path("features", preset)
    files: FeatureFilesParams = validate(FeatureFilesParams, load_yaml(path), source=path)
    return files


def load_encoder(preset: str) -> "ClipEncoderParams":
    """Return the encoder of a stream that a preset configures."""
    component: ClipEncoderParams = load_component("encoder", preset)
    return component


def load_encoders(presets: Mapping[str, str]) -> "dict[str, ClipEncoderParams]":
    """Return the encoder of each stream; `presets` maps a stream to its preset."""
    return {stream: load_encoder(preset) for stream, preset in presets.items()}


def load_text_encoder(preset: str) -> "TextEncoderParams":
    """Return the text encoder that a preset configures."""
    component: TextEncoderParams = load_component("text_encoder", preset)
    return component


def load_pair(preset: str) -> "EncoderPairParams":
    """Return the pair of encoders that a preset configures."""
    component: EncoderPairParams = load_component("pair", preset)
    return component


def load_objective(preset: str) -> "ObjectiveParams":
    """Return the pretraining objective that a preset configures."""
    component: ObjectiveParams = load_component("objective", preset)
    return component


def load_component(slot: str, preset: str) -> Any:
    """Return the component of a slot that a preset configures.

    Raises:
        ValueError: naming the preset and each wrong key, or the known presets or components.
    """
    path = preset_path(slot, preset)
    return validate(load_registry(slot), load_yaml(path), source=path)


def require_presets(params: PipelineParams) -> None:
    """Refuse choices of params.yaml that have no preset, without loading the components.

    Raises:
        ValueError: naming the choice and the known ones.
    """
    pretrain = params.pretrain
    streams = [("encoder", preset) for preset in pretrain.streams.values()]
    chosen = {"text_encoder": pretrain.text_encoder, "objective": pretrain.objective} | dict(params.train.models)
    pair = {"pair": pretrain.encoder} if pretrain.encoder else {}
    others = {"features": params.corpus.features, "render": params.render.size, "gate": params.retrain.gate}
    for slot, preset in [*streams, *chosen.items(), *pair.items(), *others.items()]:
        load_yaml(preset_path(slot, preset))
