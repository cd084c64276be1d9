"""CSV tables written by people and spreadsheets."""

import re
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

from corpus.readers.parsing.schema import refuse_misspelt, show
from corpus.readers.parsing.text import read_text

_DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs"}
_SEPARATOR_LINE = re.compile(r"\"?sep=(?P<delimiter>[,;\t])\"?[,;\t ]*", re.IGNORECASE)  # tells Excel how to split the file
_QUOTED = r'[^"]*(?:""[^"]*)*'
_INVISIBLE = " \t\u00a0\u200b\ufeff"

Row = tuple[int, list[str]]


class Table:
    """The rows of a CSV file. The header determines the `delimiter`: comma, semicolon or tab, as countries differ."""

    def __init__(self, path: Path, *, required: Sequence[str], optional: Sequence[str] = (), origin: str) -> None:
        """Read the file and its header. Columns may have any order and case; other columns are allowed.

        The header is the first line that is not empty; a line `sep=;` before it names the delimiter.

        Raises:
            ValueError: when the header lacks a required column, or has a repeated or misspelt one.
        """
        self._path, self._text = path, read_text(path, origin=origin)
        self._line, self._start, self.delimiter = _find_header(self._text)
        try:
            self._line, cells = next(iter(self._iter_rows()), (self._line, []))
            self.columns = [_strip(name).lower() for name in cells]
            self._check_header(required, optional)
        except ValueError as error:
            raise ValueError(f"{path} line {self._line}: {error}") from error

    def __iter__(self) -> Iterator[tuple[int, dict[str, str]]]:
        """Yield (line number, stripped cells by column) of the rows that are not empty.

        Raises:
            ValueError: naming the line, when a row has more cells than the header, or a quote is not closed.
        """
        rows = self._iter_rows()
        try:
            next(rows, None)
            for line, cells in rows:
                if any(map(_strip, cells)):
                    yield line, self._name_cells(cells, line)
        except _QuoteError as error:
            raise ValueError(f"{self._path} line {error.line}: {error}") from error

    def _iter_rows(self) -> Iterator[Row]:
        return _split(self._text, self._start, line=self._line, delimiter=self.delimiter)

    def _check_header(self, required: Sequence[str], optional: Sequence[str]) -> None:
        named = [name for name in self.columns if name]
        if set(required) - set(named):
            found = f"found {', '.join(map(repr, named)) or 'none'}, split at {_DELIMITERS[self.delimiter]}"
            raise ValueError(f"the header needs the columns {','.join(required)}; {found}; correct the first line of the table")
        if repeated := sorted({name for name in named if named.count(name) > 1}):
            raise ValueError(f"the header has the column {repeated[0]!r} twice; remove one")
        refuse_misspelt(named, [*required, *optional], what="column")

    def _name_cells(self, cells: list[str], line: int) -> dict[str, str]:
        if any(map(_strip, cells[len(self.columns) :])):
            raise ValueError(
                f"{self._path} line {line}: {len(cells)} cells under {len(self.columns)} columns; a text with "
                f"{self.delimiter!r} needs quotes: {show(self.delimiter.join(cells))}"
            )
        padded = cells + [""] * (len(self.columns) - len(cells))
        return {name: _strip(cell) for name, cell in zip(self.columns, padded, strict=False) if name}


class _QuoteError(ValueError):
    """A quoted cell does not end correctly."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


def _find_header(text: str) -> tuple[int, int, str]:
    """Return line number, position and delimiter of the header: the first line with cells, after any `sep=` line."""
    named, position = "", 0
    for number, line in enumerate(text.split("\n"), start=1):
        if not named and (match := _SEPARATOR_LINE.fullmatch(line.strip(" \ufeff"))):
            named = match["delimiter"]
        elif line.strip(f"{_INVISIBLE},;"):
            return number, position, named or max(_DELIMITERS, key=line.count)
        position += len(line) + 1
    return 1, len(text), named or ","


@cache
def _compile_cell(delimiter: str) -> re.Pattern[str]:
    escaped, space = re.escape(delimiter), "[ \u00a0]*" if delimiter == "\t" else "[ \t\u00a0]*"
    cell = rf'{space}"(?P<quoted>{_QUOTED})"{space}|(?!{space}")(?P<plain>[^{escaped}\n]*)'
    return re.compile(rf"(?:{cell})(?P<end>{escaped}|\n|\Z)")


def _split(text: str, position: int, *, line: int, delimiter: str) -> Iterator[Row]:
    """Yield (line number, cells) of each row from a position on; ignore spaces around quoted cells."""
    cell = _compile_cell(delimiter)
    cells: list[str] = []
    first = line
    while position < len(text) or cells:
        match = cell.match(text, position)
        if match is None:
            raise _QuoteError(line, _describe_quotes(text, position))
        plain, quoted, end = match["plain"], match["quoted"], match["end"]
        cells.append(plain if quoted is None else quoted.replace('""', '"'))
        line += text.count("\n", position, match.end())
        position = match.end()
        if end != delimiter:
            yield first, cells
            cells, first = [], line


def _strip(cell: str) -> str:
    return cell.strip().strip(_INVISIBLE)


def _describe_quotes(text: str, position: int) -> str:
    """Describe the defect of the quoted cell at a position."""
    if re.compile(rf'"{_QUOTED}"').match(text, text.index('"', position)):
        return "a cell continues after its closing quote; double every quote inside a quoted cell"
    return "unexpected end of data; is a quote not closed?"
