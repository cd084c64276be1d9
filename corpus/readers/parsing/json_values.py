"""Splitting of a file into JSON objects: one per line, over several lines, or in one list."""

import json
import re
from collections.abc import Iterator

from corpus.readers.parsing.text import iter_lines

_DECODER = json.JSONDecoder()
_BETWEEN = re.compile(r"[\s,]*")


def iter_values(text: str) -> Iterator[tuple[int, str]]:
    """Yield (line number from 1, text) of each value; a value alone in its line is not parsed.

    Raises:
        ValueError: naming the line, when a value over several lines is not JSON.
    """
    start = len(text) - len(text.lstrip())
    first_line = text[start:].partition("\n")[0].strip()
    try:
        value, end = _DECODER.raw_decode(text, start)
    except (json.JSONDecodeError, RecursionError):
        value, end = None, start
    if isinstance(value, list) and value and all(isinstance(item, dict) for item in value) and not text[end:].strip():
        yield from _iter_sequence(text, start + 1, end - 1)
    elif "\n" in text[start:end] or first_line in ("{", "["):
        yield from _iter_sequence(text, start, len(text))
    else:
        yield from iter_lines(text)


def _iter_sequence(text: str, start: int, stop: int) -> Iterator[tuple[int, str]]:
    line, position = 1, 0
    while (match := _BETWEEN.match(text, start, stop)) and match.end() < stop:
        line, position = line + text.count("\n", position, match.end()), match.end()
        try:
            _, start = _DECODER.raw_decode(text, position)
        except json.JSONDecodeError as error:
            where = f"line {error.lineno} is not JSON: {error.msg} (column {error.colno})"
            raise ValueError(f"{where}; correct it, or write one JSON object a line") from error
        except RecursionError as error:
            raise ValueError(f"line {line} is not JSON: nested too deeply; write one JSON object a line") from error
        yield line, text[position:start]
