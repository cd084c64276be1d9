"""Corpus names that look like numbers: DVC turns `-S corpus.name=2024` into a number before any stage reads it."""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

RAW = Path("data/raw")


def spell_name(value: Any) -> Any:
    """Return a name as DVC writes it into paths: 2024 is "2024" and true is "true"; lists and mappings are unchanged."""
    if isinstance(value, list | dict):
        return value
    return str(value).lower() if isinstance(value, bool) else str(value)


def require_folder(content: Mapping[str, Any], *, source: Path) -> None:
    """Refuse a name that is not text in params.yaml when DVC's folder for it does not exist.

    Raises:
        ValueError: with the option that keeps the name as text.
    """
    corpus = content.get("corpus")
    if not isinstance(corpus, Mapping) or "name" not in corpus or isinstance(corpus["name"], str | list | dict):
        return
    value, folder = corpus["name"], source.parent / RAW
    spelled = spell_name(value)
    if (folder / spelled).exists():
        return
    names = [path.name for path in sorted(folder.iterdir()) if _parse(path.name) == value] if folder.is_dir() else []
    example = names[0] if names else "2024"
    raise ValueError(
        f"{source}: corpus.name = {value!r} is not text, and {RAW / spelled} does not exist; a name that YAML reads as a number, "
        f"a date, true or null needs quotes: -S 'corpus.name=\"{example}\"'"
    )


def _parse(name: str) -> Any:
    """Return the value that YAML reads from a name; numbers such as 1e3 too, which YAML 1.1 reads as text."""
    with suppress(ValueError):
        return float(name)
    try:
        return yaml.safe_load(name)
    except yaml.YAMLError:
        return name
