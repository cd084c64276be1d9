"""CSV files as spreadsheets write them, and the times that people type into them."""

import csv
import re
from collections.abc import Iterator, Sequence
from io import StringIO
from pathlib import Path

from corpus.readers.parsing.schema import MAX_TIME_S, refuse_misspelt, show
from corpus.readers.parsing.text import read_text

_DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs"}
_CLOCK = re.compile(r"(?:(?:(?P<hours>[0-9]{1,3}):)?(?P<minutes>[0-9]{1,4}):)?(?P<seconds>[0-9]{1,9}(?:\.[0-9]*)?|\.[0-9]+)")


class Table:
    """The rows of a CSV file, split at the `delimiter` that its header has: comma, or semicolon or tab as many countries do."""

    def __init__(self, path: Path, *, required: Sequence[str], optional: Sequence[str] = (), origin: str) -> None:
        """Read the file and its header, in which the names may have any order and case; other columns are allowed.

        Raises:
            ValueError: when the header lacks a required column, has one twice, or one that is misspelt.
        """
        self._path, self._text = path, read_text(path, origin=origin)
        header = self._text.split("\n", 1)[0]
        self.delimiter = max(_DELIMITERS, key=header.count)
        try:
            cells = next(csv.reader([header], delimiter=self.delimiter, strict=True), [])
            self.columns = [name.strip().lower() for name in cells]
            self._check_header(required, optional)
        except (ValueError, csv.Error) as error:
            raise ValueError(f"{path} line 1: {error}") from error

    def __iter__(self) -> Iterator[tuple[int, dict[str, str]]]:
        """Yield (line number, stripped cells by column) of the rows that are not empty.

        Raises:
            ValueError: naming the line, when a row has more cells than the header, or a quote is not closed.
        """
        rows = csv.reader(StringIO(self._text, newline=""), delimiter=self.delimiter, strict=True)
        next(rows)
        line = rows.line_num
        try:
            for cells in rows:
                if any(cell.strip() for cell in cells):
                    yield line + 1, self._name_cells(cells, line + 1)
                line = rows.line_num
        except csv.Error as error:
            raise ValueError(f"{self._path} line {line + 1}: {error}; is a quote not closed?") from error

    def _check_header(self, required: Sequence[str], optional: Sequence[str]) -> None:
        named = [name for name in self.columns if name]
        if set(required) - set(named):
            found = f"found {', '.join(map(repr, named)) or 'none'}, split at {_DELIMITERS[self.delimiter]}"
            raise ValueError(f"the header needs the columns {','.join(required)}; {found}")
        if repeated := sorted({name for name in named if named.count(name) > 1}):
            raise ValueError(f"the header has the column {repeated[0]!r} twice")
        refuse_misspelt(named, [*required, *optional], what="column")

    def _name_cells(self, cells: list[str], line: int) -> dict[str, str]:
        if any(cell.strip() for cell in cells[len(self.columns) :]):
            raise ValueError(
                f"{self._path} line {line}: {len(cells)} cells under {len(self.columns)} columns; a text with "
                f"{self.delimiter!r} needs quotes: {show(self.delimiter.join(cells))}"
            )
        padded = cells + [""] * (len(self.columns) - len(cells))
        return {name: cell.strip() for name, cell in zip(self.columns, padded, strict=False) if name}


def parse_time(text: str, *, decimal_comma: bool = False) -> float:
    """Return seconds from 83.5, 1:23.5 or 0:01:23.5; with `decimal_comma` also from 83,5.

    Raises:
        ValueError: when it is none of them, or longer than a week.
    """
    match = _CLOCK.fullmatch(text.replace(",", ".") if decimal_comma else text)
    if not match:
        raise ValueError(f"{show(text)} is no time; write seconds (83.5) or minutes:seconds (1:23.5)")
    hours, minutes, seconds = (float(part) if part else 0.0 for part in match.group("hours", "minutes", "seconds"))
    if (match["minutes"] and seconds >= 60) or (match["hours"] and minutes >= 60):
        raise ValueError(f"{show(text)} is no time: seconds and minutes after a colon stay below 60")
    time_s = 3600 * hours + 60 * minutes + seconds
    if time_s > MAX_TIME_S:
        raise ValueError(f"{show(text)} is no time: it is longer than a week")
    return time_s
