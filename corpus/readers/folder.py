"""Reads one's own folder: `videos/` with `annotations.jsonl` or `annotations.csv`.

JSONL, one query a line, extends the line of QVHighlights. Keys: qid, vid, duration (s), query, relevant_windows ([[start,
end], ...] in s); relevant_clip_ids (clips of 2 s) with saliency_scores; split, tags, elsewhere ({vid: windows}),
annotators ([windows, ...]), source.
CSV, one window a row, has the columns video, start, end, query and, where wanted, split and qid. Rows with one qid, or
without that column rows with one video and query, are the windows of one query, whose qid is then `line-<its first line>`.
Videos are named with or without their suffix. Nothing is dropped or clipped here: what is wrong is refused, all of it at once.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator

from corpus.readers.base import Reader, ReaderParams, ReadResult
from corpus.readers.parsing.collector import Collector
from corpus.readers.parsing.highlights import HighlightRow
from corpus.readers.parsing.schema import Window, parse_row, refuse_misspelt, require_split
from corpus.readers.parsing.text import iter_lines, parse_json, read_text
from corpus.readers.parsing.window_table import collect_windows
from corpus.records import Query, to_moments

JSONL, CSV = "annotations.jsonl", "annotations.csv"
_ORIGIN = f"put videos/ and {JSONL} or {CSV} there"


class _Row(HighlightRow):
    """One line. Keys that are not ours are allowed, unless they look like a misspelling of one that is."""

    relevant_windows: list[Window]
    split: Annotated[str, AfterValidator(require_split)] = ""
    tags: dict[str, str] = {}
    elsewhere: dict[str, list[Window]] = {}
    annotators: list[list[Window]] = []
    source: str = "human"


class FolderReader(Reader):
    """Reads `annotations.jsonl` or `annotations.csv`."""

    def read(self, root: Path) -> ReadResult:
        """Read every row; all wrong ones are named together."""
        jsonl, table = root / JSONL, root / CSV
        if jsonl.exists() and table.exists():
            raise ValueError(f"{jsonl} and {table} are both there; keep the one that holds the annotations")
        collector = Collector(root)
        if table.exists():
            collect_windows(collector, table, reader=self, origin=_ORIGIN)
        else:
            self._read_jsonl(jsonl, collector)
        return collector.finish(empty=f"{table if table.exists() else jsonl} holds no queries; write one a line")

    def _read_jsonl(self, path: Path, collector: Collector) -> None:
        for number, line in iter_lines(read_text(path, origin=_ORIGIN)):
            with collector.reading(f"{path.name} line {number}"):
                content = parse_json(line)
                if isinstance(content, Mapping):
                    refuse_misspelt(content, list(_Row.model_fields))
                row = parse_row(_Row, content)
                collector.add(self._to_query(row), f"{path.name} line {number}")
                collector.add_duration(self.name_video(row.vid), row.duration)

    def _to_query(self, row: _Row) -> Query:
        return row.to_query(
            video_id=self.name_video(row.vid),
            split=row.split,
            annotators=tuple(to_moments(windows) for windows in row.annotators),
            elsewhere={self.name_video(vid): to_moments(windows) for vid, windows in row.elsewhere.items()},
            tags=row.tags,
            source=row.source,
        )


class FolderReaderParams(ReaderParams):
    """The folder reader has no values of its own."""

    name: Literal["folder"]

    def build(self) -> Reader:
        """Return the reader."""
        return FolderReader()
