"""Components by slot and name: reads `presets/<slot>/<name>.yaml` with the schema of the slot's registry.

Registries are imported when a slot is asked for: a stage that trains nothing never loads torch.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from stages.support.params import PipelineParams, load_yaml, preset_path, validate

if TYPE_CHECKING:
    from corpus.feature_files.schema import FeatureFilesParams
    from models.exchange.roles import LocalizerParams, RetrieverParams, TextEncoderParams, VideoEncoderParams
    from models.losses.base import TermParams
    from models.objectives.base import ObjectiveParams
    from models.training.schema import TrainingParams

C = TypeVar("C")


@dataclass(frozen=True)
class TrainedComponent(Generic[C]):
    """A component with the losses and the training of its preset."""

    component: C
    losses: "tuple[TermParams, ...]"
    training: "TrainingParams"


def load_features(name: str) -> "FeatureFilesParams":
    """Return which files the features of videos come from; no streams where the encoder makes them."""
    from corpus.feature_files.schema import FeatureFilesParams

    path = preset_path("features", name)
    files: FeatureFilesParams = validate(FeatureFilesParams, load_yaml(path), source=path)
    return files


def load_encoder(name: str) -> "VideoEncoderParams":
    """Return the chosen video encoder's values."""
    from models.encoders import EncoderParams as Registry

    component: VideoEncoderParams = _load(Registry, "encoder", name)
    return component


def load_text_encoder(name: str) -> "TextEncoderParams":
    """Return the chosen text encoder's values."""
    from models.text_encoders import TextEncoderParams as Registry

    component: TextEncoderParams = _load(Registry, "text_encoder", name)
    return component


def load_objective(name: str) -> "ObjectiveParams":
    """Return the chosen pretraining objective's values."""
    from models.objectives import ObjectiveParams as Registry

    component: ObjectiveParams = _load(Registry, "objective", name)
    return component


def load_retriever(name: str) -> "TrainedComponent[RetrieverParams]":
    """Return the chosen retriever with its losses and training."""
    from models.retrievers import RetrieverParams as Registry

    trained: TrainedComponent[RetrieverParams] = _load_trained(Registry, "retriever", name)
    return trained


def load_localizer(name: str) -> "TrainedComponent[LocalizerParams]":
    """Return the chosen localizer with its losses and training."""
    from models.localizers import LocalizerParams as Registry

    trained: TrainedComponent[LocalizerParams] = _load_trained(Registry, "localizer", name)
    return trained


def load_blind(name: str) -> "TrainedComponent[LocalizerParams]":
    """Return the chosen text-only floor with its losses and training."""
    from models.blinds import BlindParams as Registry

    trained: TrainedComponent[LocalizerParams] = _load_trained(Registry, "blind", name)
    return trained


def require_presets(params: PipelineParams) -> None:
    """Refuse choices of params.yaml that have no preset, without loading what they choose.

    Raises:
        ValueError: naming the choice and the known ones.
    """
    slots = ("encoder", "text_encoder", "objective")
    chosen = {slot: getattr(params.pretrain, slot) for slot in slots} | dict(params.train.models)
    for slot, name in {**chosen, "features": params.corpus.features, "render": params.render.size}.items():
        load_yaml(preset_path(slot, name))


def _load(registry: Any, slot: str, name: str) -> Any:
    path = preset_path(slot, name)
    return validate(registry, _named(load_yaml(path), name), source=path)


def _load_trained(registry: Any, slot: str, name: str) -> Any:
    from models.losses import LossParams
    from models.training.schema import TrainingParams

    path = preset_path(slot, name)
    content = _named(load_yaml(path), name)
    losses = validate(tuple[LossParams, ...], content.pop("losses", []), source=path, within="losses")
    training = validate(TrainingParams, content.pop("training", {}), source=path, within="training")
    return TrainedComponent(validate(registry, content, source=path), losses, training)


def _named(content: dict[str, Any], name: str) -> dict[str, Any]:
    if content.get("name") != name:
        raise ValueError(f"the preset {name!r} names the component {content.get('name')!r}; file name and `name` must agree")
    return dict(content)
