"""The typed form of `params.yaml` and `presets/`: unknown or misspelt keys and components fail here, before any work."""

import re
from functools import reduce
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, Field, NonNegativeFloat, NonNegativeInt, PositiveInt, TypeAdapter, ValidationError

from corpus.params import Params

PARAMS_FILE = Path("params.yaml")
TRUTH_VALUE = re.compile("^(?:true|True|TRUE|false|False|FALSE)$")
PRESETS = Path("presets")


class CorpusParams(Params):
    """Which corpus, which reader of `corpus.readers` reads it, and where features come from, a preset."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
    reader: str
    features: str


class RenderParams(Params):
    """Size (a preset) and seed of the embedded corpus."""

    size: str
    seed: NonNegativeInt


class IngestParams(Params):
    """Shares of videos held out, and how many may end in quarantine before the stage fails."""

    validation_share: float = Field(gt=0, lt=1)
    test_share: float = Field(gt=0, lt=1)
    max_quarantine_share: float = Field(ge=0, le=1)
    seed: NonNegativeInt


class ValidateParams(Params):
    """The suite of the data gate, a preset."""

    suite: str


class PretrainParams(Params):
    """Components of the encoder stage."""

    encoder: str
    text_encoder: str
    objective: str
    seed: NonNegativeInt


class ExtractParams(Params):
    """How features are packed."""

    videos_per_shard: PositiveInt


class TrainModels(Params):
    """The component of each role."""

    retriever: str
    localizer: str
    blind: str


class TrainParams(Params):
    """What to train."""

    models: TrainModels
    seed: NonNegativeInt


class SearchParams(Params):
    """How a collection is searched, the same in evaluation and in the service."""

    survivors: PositiveInt
    window_weight: NonNegativeFloat
    localizer_weight: NonNegativeFloat
    max_iou: float = Field(ge=0, le=1)
    moments_per_video: PositiveInt


class EvaluateParams(Params):
    """What is scored, how intervals are drawn, and where "not found" begins."""

    split: str
    hit_rate: float = Field(gt=0, le=1)
    bootstrap_samples: PositiveInt
    seed: NonNegativeInt


class ExportParams(Params):
    """The parity an exported network must reach."""

    max_difference: NonNegativeFloat


class PackageParams(Params):
    """What goes into the bento beside bundle and index."""

    thumbnails_per_video: NonNegativeInt


class PipelineParams(Params):
    """All of `params.yaml`."""

    corpus: CorpusParams
    render: RenderParams
    ingest: IngestParams
    validate_: ValidateParams = Field(alias="validate")
    pretrain: PretrainParams
    extract: ExtractParams
    train: TrainParams
    search: SearchParams
    evaluate: EvaluateParams
    export: ExportParams
    package: PackageParams


def load_params(path: Path = PARAMS_FILE) -> PipelineParams:
    """Read `params.yaml`.

    Raises:
        ValueError: naming each wrong key with its value and the rule it breaks.
    """
    params: PipelineParams = validate(PipelineParams, load_yaml(path), source=path)
    return params


class WordLoader(yaml.SafeLoader):
    """Reads on, off, yes and no as words, which they are to DVC (YAML 1.2): losses have a value called `on`."""

    yaml_implicit_resolvers = {
        first: [(tag, TRUTH_VALUE if tag.endswith(":bool") else pattern) for tag, pattern in resolvers]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


def load_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML mapping.

    Raises:
        ValueError: when the file is missing or holds no mapping.
    """
    if not path.is_file():
        known = ", ".join(sorted(other.stem for other in path.parent.glob("*.yaml"))) or "none"
        raise ValueError(f"{path} does not exist: there is no {path.parent.name} named {path.stem!r}; known: {known}")
    content = yaml.load(path.read_text(encoding="utf-8"), Loader=WordLoader)
    if not isinstance(content, dict):
        raise ValueError(f"{path} must hold a mapping of keys to values, got {type(content).__name__}")
    return content


def preset_path(slot: str, name: str) -> Path:
    """Return the file that holds a component's values."""
    return PRESETS / slot / f"{name}.yaml"


def validate(schema: Any, content: object, *, source: Path, within: str = "") -> Any:
    """Check values against a schema and name what is wrong in them; `within` is the key of the file that holds them.

    Raises:
        ValueError: one line per wrong key: file, key, value, rule.
    """
    try:
        return TypeAdapter(schema).validate_python(content)
    except ValidationError as error:
        raise ValueError("\n".join(_describe(source, schema, problem, within) for problem in error.errors())) from error


def _describe(source: Path, schema: Any, problem: Any, within: str) -> str:
    key = ".".join(str(part) for part in (within, *problem["loc"]) if part != "")
    known = _describe_name(key, schema, problem)
    return f"{source}: {known or _describe_value(key or '(whole file)', schema, problem)}"


def _describe_name(key: str, schema: Any, problem: Any) -> str | None:
    """Say what is wrong with the name that chooses a component, and list the known ones."""
    kind, location, value = problem["type"], problem["loc"], problem["input"]
    name_key = f"{key}.name".removeprefix(".")
    if kind == "union_tag_invalid":
        return f"{name_key} = {problem['ctx']['tag']!r} is unknown; known: {_known_names(schema, location)}"
    if kind == "union_tag_not_found":
        return f"the key {name_key} is missing; known: {_known_names(schema, location)}"
    if kind == "model_attributes_type":
        return f"{key or '(whole file)'} = {value!r} must be a mapping with a name; known: {_known_names(schema, location)}"
    if kind == "literal_error" and location[-1:] == ("name",):  # in a slot with one component
        return f"{key} = {value!r} is unknown; known: {_known_names(schema, location[:-1])}"
    return None


def _describe_value(key: str, schema: Any, problem: Any) -> str:
    if problem["type"] == "extra_forbidden":
        known = ", ".join(_known_keys(schema, problem["loc"][:-1]))
        return f"unknown key {key} = {problem['input']!r}; known: {known}; correct its spelling or remove it"
    if problem["type"] == "missing":
        return f"the key {key} is missing"
    if problem["type"] == "value_error":  # the message of a rule over several keys
        return f"{key}: {problem['ctx']['error']}"
    return f"{key} = {problem['input']!r}: {problem['msg']}"


def _known_keys(schema: Any, location: tuple[int | str, ...]) -> list[str]:
    """Return the keys that a schema allows at a location, which names fields, list items and tags of unions."""
    models = _models_in(reduce(_descend, location, schema))
    return sorted(field.alias or name for model in models for name, field in model.model_fields.items())


def _known_names(schema: Any, location: tuple[int | str, ...]) -> str:
    """Return the names that the union at a location chooses by."""
    models = _models_in(reduce(_descend, location, schema))
    fields = [model.model_fields["name"] for model in models if "name" in model.model_fields]
    return ", ".join(sorted(str(name) for field in fields for name in get_args(field.annotation)))


def _descend(schema: Any, part: int | str) -> Any:
    for model in _models_in(schema):
        for name, field in model.model_fields.items():
            if part == (field.alias or name):
                return field.annotation
            if name == "name" and part in get_args(field.annotation):
                return model
    return schema


def _models_in(schema: Any) -> list[type[BaseModel]]:
    if isinstance(schema, type) and issubclass(schema, BaseModel):
        return [schema]
    return [model for argument in get_args(schema) for model in _models_in(argument)]
