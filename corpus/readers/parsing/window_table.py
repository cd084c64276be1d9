"""CSV table of windows, `video,start,end,query`; several rows may belong to one query."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from corpus.moments import Moment
from corpus.names import unify
from corpus.readers.base import Reader
from corpus.readers.parsing.collector import Collector
from corpus.readers.parsing.schema import require_split
from corpus.readers.parsing.tables import Table
from corpus.readers.parsing.times import parse_moment
from corpus.readers.parsing.video_names import VideoNames
from corpus.records import Query


@dataclass(frozen=True, slots=True)
class _Row:
    line: int
    qid: str  # empty if the table has no such column
    video_id: str
    text: str
    split: str
    moment: Moment

    @property
    def key(self) -> tuple[str, ...]:
        """The key that rows of one query share."""
        return (self.qid,) if self.qid else (self.video_id, self.text)

    def require_same_query(self, first: "_Row") -> None:
        """Raise ValueError unless this row is another window of the query of `first`."""
        for name in ("video_id", "text", "split"):
            here, there = getattr(self, name), getattr(first, name)
            if here != there:
                raise ValueError(
                    f"{here!r} here and {there!r} in line {first.line}, though both rows are of one query; correct one"
                )


def collect_windows(collector: Collector, path: Path, *, reader: Reader, origin: str) -> None:
    """Pass the queries of a table to the collector.

    Raises:
        ValueError: when the file is missing or its header is wrong.
    """
    table = Table(path, required=("video", "start", "end", "query"), optional=("split", "qid"), origin=origin)
    names = VideoNames(reader.name_video)
    queries: dict[tuple[str, ...], list[_Row]] = {}
    for line, cells in table:
        with collector.reading(f"{path.name} line {line}"):
            row = _parse(line, cells, names=names, decimal_comma=table.delimiter != ",")
            rows = queries.setdefault(row.key, [])
            row.require_same_query(rows[0] if rows else row)
            if repeated := next((other.line for other in rows if other.moment == row.moment), None):
                raise ValueError(f"it repeats line {repeated}; remove one")
            rows.append(row)
    for rows in queries.values():
        _add(collector, path.name, rows)


def _parse(line: int, cells: Mapping[str, str], *, names: VideoNames, decimal_comma: bool) -> _Row:
    for name in ("video", "start", "end", "query", "qid"):
        if cells.get(name) == "":
            raise ValueError(f"the column {name} is empty; fill it in, or remove the row")
    return _Row(
        line=line,
        qid=unify(cells.get("qid", "")),
        video_id=names.find_id(cells["video"]),
        text=unify(" ".join(cells["query"].split())),
        split=require_split(unify(cells.get("split", "")).lower()),
        moment=parse_moment(cells["start"], cells["end"], decimal_comma=decimal_comma),
    )


def _add(collector: Collector, file: str, rows: list[_Row]) -> None:
    first = rows[0]
    named = f"{file} {'lines' if len(rows) > 1 else 'line'} {', '.join(str(row.line) for row in rows)}"
    with collector.reading(named):
        spans = tuple(row.moment for row in rows)
        qid = first.qid or f"line-{first.line}"
        collector.add(Query(qid, first.video_id, first.text, spans, split=first.split), named, num_rows=len(rows))
