"""Reads QVHighlights: one JSON object per line, with the windows of a sentence and the saliency of their 2 s clips.

A sentence may have several windows. Each of their clips has ratings of three annotators, from 0 (very bad) to 4 (very good).
The released test split has no windows, because the benchmark's server scores its predictions. Its rows are dropped and
listed; compare with published figures on val (`evaluate.split=val`). Nothing else is dropped or clipped; a row that deviates
from the published format is an error.
Source: Lei et al. 2021 (arXiv:2107.09609).
"""

from pathlib import Path
from typing import Literal

from corpus.readers.base import Reader, ReaderParams, ReadResult
from corpus.readers.parsing.collector import Collector
from corpus.readers.parsing.highlights import HighlightRow
from corpus.readers.parsing.schema import parse_row
from corpus.readers.parsing.text import iter_lines, parse_json, read_text
from corpus.records import TEST, TRAIN, VALIDATION

_ORIGIN = "it is in data/ of Moment-DETR, github.com/jayleicn/moment_detr"
_NO_WINDOWS = "its windows are not published; the benchmark's server scores predictions for it"


class QVHighlightsReader(Reader):
    """Reads `highlight_{train,val}_release.jsonl` and, if it exists, `highlight_test_release.jsonl`."""

    def read(self, root: Path) -> ReadResult:
        """Read the splits."""
        collector = Collector(root)
        for split in (TRAIN, VALIDATION, TEST):
            path = root / f"highlight_{split}_release.jsonl"
            if split != TEST or path.exists():
                self._read_file(collector, path, split)
        return collector.finish(empty=f"the files in {root} hold no lines with windows")

    def _read_file(self, collector: Collector, path: Path, split: str) -> None:
        for number, line in iter_lines(read_text(path, origin=_ORIGIN)):
            row = f"{path.name} line {number}"
            with collector.reading(row):
                parsed = parse_row(HighlightRow, parse_json(line))
                if split == TEST and parsed.relevant_windows is None:
                    collector.drop(row, str(parsed.qid), _NO_WINDOWS, split)
                    continue
                video_id = self.name_video(parsed.vid)
                collector.add(parsed.to_query(video_id=video_id, split=split), row)
                collector.add_duration(video_id, parsed.duration)


class QVHighlightsParams(ReaderParams):
    """Empty schema: the reader has no values."""

    name: Literal["qvhighlights"]

    def build(self) -> Reader:
        """Return the reader."""
        return QVHighlightsReader()
