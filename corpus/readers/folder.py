"""Reads your own folder: `videos/` with `annotations.jsonl` or `annotations.csv`.

The case of the file name does not matter. The suffixes `.json`, `.ndjson`, `.tsv` and `.txt` (tables) work too.
JSONL holds one query per line (or a list, or objects over several lines) and extends the line of QVHighlights. Keys: qid, vid,
duration (s), query, relevant_windows ([[start, end], ...] in s); relevant_clip_ids (clips of 2 s) with saliency_scores;
split, tags, elsewhere ({vid: windows}), annotators ([windows, ...]), source.
CSV holds one window per row, with the columns video, start, end, query and optionally split and qid. Rows with equal qid are
the windows of one query. Without a qid column, rows with equal video and query are; the qid is then `line-<first line>`.
Videos are named with or without suffix, or by a path that ends in their name. Nothing is dropped or clipped here: one error
lists all wrong rows.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator

from corpus.moments import Moment
from corpus.names import unify
from corpus.readers.base import Reader, ReaderParams, ReadResult
from corpus.readers.parsing.annotation_file import CSV, JSONL, find_annotations, is_table
from corpus.readers.parsing.collector import Collector
from corpus.readers.parsing.highlights import HighlightRow
from corpus.readers.parsing.json_values import iter_values
from corpus.readers.parsing.schema import Window, parse_row, refuse_misspelt, require_split
from corpus.readers.parsing.text import parse_json, read_text
from corpus.readers.parsing.times import require_plausible
from corpus.readers.parsing.video_names import VideoNames
from corpus.readers.parsing.window_table import collect_windows
from corpus.records import Query, to_moments

_ORIGIN = f"put videos/ and {JSONL} or {CSV} there"


class _Row(HighlightRow):
    """One line. Unknown keys are allowed unless they look like a misspelling of a known key."""

    relevant_windows: list[Window]
    split: Annotated[str, AfterValidator(require_split)] = ""
    tags: dict[str, str] = {}
    elsewhere: dict[str, list[Window]] = {}
    annotators: list[list[Window]] = []
    source: str = "human"


class FolderReader(Reader):
    """Reads `annotations.jsonl` or `annotations.csv`."""

    def read(self, root: Path) -> ReadResult:
        """Read every row; one error names all wrong rows."""
        path = find_annotations(root)
        collector = Collector(root)
        if is_table(path):
            collect_windows(collector, path, reader=self, origin=_ORIGIN)
        else:
            self._read_json(path, collector)
        return collector.finish(empty=f"{path} holds no queries; write one a line, or search without any: cuepoint index {root}")

    def _read_json(self, path: Path, collector: Collector) -> None:
        names = VideoNames(self.name_video)
        text = read_text(path, origin=_ORIGIN)
        try:
            for number, value in iter_values(text):
                with collector.reading(f"{path.name} line {number}"):
                    self._read_row(value, names, collector, f"{path.name} line {number}")
        except ValueError as error:
            raise ValueError(f"{path} {error}") from error

    def _read_row(self, text: str, names: VideoNames, collector: Collector, row: str) -> None:
        content = parse_json(text)
        if isinstance(content, Mapping):
            refuse_misspelt(content, list(_Row.model_fields))
        parsed = parse_row(_Row, content)
        query = _to_query(parsed, names)
        collector.add(query, row)
        collector.add_duration(query.video_id, parsed.duration)


def _to_query(row: _Row, names: VideoNames) -> Query:
    for windows in (row.relevant_windows, *row.annotators, *row.elsewhere.values()):
        _check_windows(windows)
    query = row.to_query(
        video_id=names.find_id(row.vid),
        split=unify(row.split),
        annotators=tuple(to_moments(windows) for windows in row.annotators),
        elsewhere=_name_elsewhere(row, names),
        tags=row.tags,
        source=row.source,
    )
    return replace(query, qid=unify(query.qid), text=unify(query.text))


def _check_windows(windows: Iterable[Window]) -> None:
    """Refuse invalid and repeated windows."""
    seen: set[Window] = set()
    for window in windows:
        require_plausible(*window)
        if window in seen:
            raise ValueError(f"the window {list(window)} is given twice; remove one")
        seen.add(window)


def _name_elsewhere(row: _Row, names: VideoNames) -> dict[str, tuple[Moment, ...]]:
    found: dict[str, tuple[Moment, ...]] = {}
    for name, windows in row.elsewhere.items():
        video_id = names.find_id(name)
        if video_id in found:
            raise ValueError(f"elsewhere names the video {video_id!r} twice; join the windows of both")
        found[video_id] = to_moments(windows)
    return found


class FolderReaderParams(ReaderParams):
    """Empty schema: the folder reader has no values."""

    name: Literal["folder"]

    def build(self) -> Reader:
        """Return the reader."""
        return FolderReader()
