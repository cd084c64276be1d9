"""Text files of annotations as people have them: UTF-8, with or without a byte order mark, any line ending."""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

_ESCAPED_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def read_text(path: Path, *, origin: str) -> str:
    r"""Return the text of a file, its lines ended by "\n". `origin` says where one gets the file.

    Raises:
        ValueError: when it is missing, saying where it comes from; when it is not UTF-8, naming the line.
    """
    if not path.is_file():
        raise ValueError(f"{path} {'is not a file' if path.exists() else 'does not exist'}; {origin}")
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        byte = f"byte 0x{error.object[error.start]:02x}"
        raise ValueError(f'{path} line {line} is not UTF-8 ({byte}); save the file as UTF-8 (in Excel: "CSV UTF-8")') from error
    return text.replace("\r\n", "\n").replace("\r", "\n")


def parse_json(text: str) -> Any:
    """Return a JSON value as the standard has it: no NaN, no infinity, no key twice, no half of a surrogate pair.

    Raises:
        ValueError: saying what is wrong.
    """
    try:
        value = json.loads(text, parse_constant=_refuse_constant, object_pairs_hook=_refuse_repeated_keys)
    except json.JSONDecodeError as error:
        line = f"line {error.lineno} " if "\n" in text else ""
        raise ValueError(f"not JSON: {error.msg} ({line}column {error.colno})") from error
    except RecursionError as error:
        raise ValueError("not JSON: nested too deeply") from error
    if _ESCAPED_SURROGATE.search(text):
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError as error:
            raise ValueError(f"a text holds half of a surrogate pair: {error.object[error.start]!r}") from error
    return value


def read_json_file(path: Path, *, origin: str) -> Any:
    """Read a JSON file strictly.

    Raises:
        ValueError: naming the file and what is wrong.
    """
    text = read_text(path, origin=origin)
    try:
        return parse_json(text)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def iter_lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield (line number from 1, line) of the lines that are not blank."""
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield number, line


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


def _refuse_repeated_keys(pairs: list[tuple[str, Any]]) -> Mapping[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        repeated, _ = Counter(key for key, _ in pairs).most_common(1)[0]
        raise ValueError(f"the key {repeated!r} is given twice")
    return found
