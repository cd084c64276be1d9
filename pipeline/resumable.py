"""Folders of resumable work, each keyed by its code, values and data."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from corpus.code import Closure
from corpus.files import read_json, sha256_json, write_json

_BEGUN_WITH = "begun_with.json"
_SHOWN_FILES = 3


def open_state(folder: Path, what: str, code: Closure, **parts: object) -> Path:
    """Return the folder, below `folder`, of the unfinished work with this code and these parts (JSON values).

    Prints the reason for a fresh start if unfinished work of this name (`what`) has other code or parts.
    """
    begun = {"what": what, "code": dict(code.files), "parts": {name: sha256_json(part) for name, part in parts.items()}}
    state_dir = folder / sha256_json(begun)[:16]
    if not (state_dir / _BEGUN_WITH).is_file():
        for other, differing in _find_others(folder, begun):
            print(f"{what}: cannot resume {other}, which has {differing}; starting from the beginning", flush=True)
        write_json(state_dir / _BEGUN_WITH, begun)
    return state_dir


def _find_others(folder: Path, begun: Mapping[str, Any]) -> Iterator[tuple[Path, str]]:
    """Yield the other unfinished work of the same name, with a description of its differences."""
    for path in sorted(folder.glob(f"*/{_BEGUN_WITH}")):
        other = read_json(path)
        if other["what"] == begun["what"]:
            yield path.parent, " and ".join(_list_differences(other, begun))


def _list_differences(other: Mapping[str, Any], begun: Mapping[str, Any]) -> list[str]:
    files = sorted(path for path, _ in set(other["code"].items()) ^ set(begun["code"].items()))
    names = list(dict.fromkeys(files))
    shown = ", ".join(names[:_SHOWN_FILES]) + (f" and {len(names) - _SHOWN_FILES} more" if len(names) > _SHOWN_FILES else "")
    parts = [name for name, digest in begun["parts"].items() if other["parts"].get(name) != digest]
    return [*([f"other code ({shown})"] if names else []), *(f"other {name}" for name in parts)]
