"""Strict YAML lists of records: every scalar is text; anchors and deep nesting are refused."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from corpus.readers.parsing.text import read_text

_Loader: type[Any] = getattr(yaml, "CBaseLoader", yaml.BaseLoader)  # libyaml is fifteen times faster
_MAX_DEPTH = 20


def iter_records(path: Path, *, origin: str) -> Iterator[tuple[int, Any]]:
    """Yield (line number, record) of a file that holds one list.

    Raises:
        ValueError: when the file is missing or not such a list, naming file and line.
    """
    text = read_text(path, origin=origin)
    try:
        _require_plain(text)
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
            if not isinstance(node, yaml.SequenceNode):
                raise ValueError("it must hold a list of records")
            yield from [(item.start_mark.line + 1, loader.construct_object(item, deep=True)) for item in node.value]
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        line = f" line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise ValueError(f"{path}{line} is not YAML: {error.problem or error}") from error
    except (yaml.YAMLError, ValueError) as error:
        raise ValueError(f"{path}: {error}") from error


def _require_plain(text: str) -> None:
    """Refuse YAML that would crash or stall the process: libyaml's binding does not survive deep nesting."""
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.AliasEvent):
            raise ValueError(f"anchors and aliases are not part of the format, as in line {_find_line(event)}")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > _MAX_DEPTH:
            raise ValueError(f"line {_find_line(event)} is nested too deeply")


def _find_line(event: yaml.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark else 0
