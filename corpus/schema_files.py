"""Reading of YAML files with a pydantic schema. Errors name every wrong key with its value and the broken rule."""

import re
from functools import reduce
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, TypeAdapter, ValidationError

_TRUTH_VALUE = re.compile("^(?:true|True|TRUE|false|False|FALSE)$")


class WordLoader(yaml.SafeLoader):
    """Loader that reads on, off, yes and no as words, as DVC does (YAML 1.2), because losses have a key called `on`."""

    yaml_implicit_resolvers = {
        first: [(tag, _TRUTH_VALUE if tag.endswith(":bool") else pattern) for tag, pattern in resolvers]
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


def validate(schema: Any, content: object, *, source: Path, within: str = "") -> Any:
    """Validate values against a schema; `within` is the key of the file that holds them.

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
    """Describe a wrong component name, and list the known ones."""
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
    if problem["type"] == "value_error":  # message of a rule over several keys
        return f"{key}: {problem['ctx']['error']}"
    return f"{key} = {problem['input']!r}: {problem['msg']}"


def _known_keys(schema: Any, location: tuple[int | str, ...]) -> list[str]:
    """Return the keys that a schema allows at a location (fields, list items and tags of unions)."""
    models = _models_in(reduce(_descend, location, schema))
    return sorted(field.alias or name for model in models for name, field in model.model_fields.items())


def _known_names(schema: Any, location: tuple[int | str, ...]) -> str:
    """Return the component names of the union at a location."""
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
