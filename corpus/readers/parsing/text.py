"""Text files of annotations: UTF-8, or UTF-16 as spreadsheets save it, with any line ending."""

import codecs
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

_MARKS = (  # longest first, because the mark of UTF-32 begins with the mark of UTF-16
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_NUM_PROBED = 64  # bytes at the start that reveal UTF-16 without a mark
_SAVE_AS_UTF8 = 'save the file as UTF-8 (in Excel: "CSV UTF-8")'
_ESCAPED_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def read_text(path: Path, *, origin: str) -> str:
    r"""Return the text of a file, its lines ended by "\n". `origin` says where to get the file.

    Raises:
        ValueError: when the file is missing, with its origin; when it is neither UTF-8 nor UTF-16, or holds a NUL
            character, with the line.
    """
    if not path.is_file():
        raise ValueError(f"{path} {'is not a file' if path.exists() else 'does not exist'}; {origin}")
    content = path.read_bytes()
    encoding = _find_encoding(content)
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        line = _normalise_ends(content[: error.start].decode(encoding, errors="replace")).count("\n") + 1
        byte = f"byte 0x{content[error.start]:02x}"
        name = encoding.removesuffix("-sig").upper()
        raise ValueError(f"{path} line {line} is not {name} ({byte}); {_SAVE_AS_UTF8}") from error
    text = _normalise_ends(text)
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise ValueError(f"{path} line {line} holds a NUL character: the file is damaged or not text; {_SAVE_AS_UTF8}")
    return text


def _find_encoding(content: bytes) -> str:
    """Return the encoding of a byte order mark, or UTF-16 if every other byte at the start is 0, else UTF-8."""
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            return encoding
    start = content[:_NUM_PROBED]
    even, odd = start[::2], start[1::2]
    if len(start) >= 4 and not any(odd) and all(even):
        return "utf-16-le"
    if len(start) >= 4 and not any(even) and all(odd):
        return "utf-16-be"
    return "utf-8-sig"


def _normalise_ends(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


def parse_json(text: str) -> Any:
    """Parse standard JSON: no NaN, no infinity, no repeated key, no lone surrogate.

    Raises:
        ValueError: naming the defect.
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
        ValueError: naming the file and the defect.
    """
    text = read_text(path, origin=origin)
    try:
        return parse_json(text)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def iter_lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield (line number from 1, line) for lines that are not blank."""
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield number, line


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _refuse_repeated_keys(pairs: list[tuple[str, Any]]) -> Mapping[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        repeated, _ = Counter(key for key, _ in pairs).most_common(1)[0]
        raise ValueError(f"the key {repeated!r} is given twice")
    return found
