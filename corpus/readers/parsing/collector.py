"""Gathers the queries of a corpus: wrong rows are named together, what is dropped or clipped is listed."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from corpus.moments import Moment
from corpus.readers.base import ReadResult, RowNote
from corpus.records import Query

_MAX_NAMED_ROWS = 20


@dataclass(frozen=True, slots=True)
class TimedSentence:
    """A sentence with one moment, as Charades-STA, ActivityNet Captions and TACoS publish them; it may end after its video."""

    qid: str
    video_id: str
    text: str
    start_s: float
    end_s: float
    split: str


class Collector:
    """Gathers what a reader finds below `root`, and gives it as one result."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._queries: dict[str, Query] = {}
        self._rows: dict[str, str] = {}
        self._durations_s: dict[str, float] = {}
        self._dropped: list[RowNote] = []
        self._clipped: list[RowNote] = []
        self._num_rows: Counter[str] = Counter()
        self._errors: list[str] = []

    @contextmanager
    def reading(self, row: str) -> Iterator[None]:
        """Keep a ValueError that is raised within for the end, with the name of the row; a row starts with its file."""
        try:
            yield
        except ValueError as error:
            self._errors.append(f"{self._root}/{row}: {error}")

    def add(self, query: Query, row: str, *, num_rows: int = 1) -> None:
        """Add a query that `num_rows` rows tell of.

        Raises:
            ValueError: when another query has its qid.
        """
        if query.qid in self._queries:
            raise ValueError(f"the qid {query.qid!r} is that of {self._rows[query.qid]} too; give each query its own")
        self._queries[query.qid], self._rows[query.qid] = query, row
        self._num_rows[query.split] += num_rows

    def add_timed(self, sentence: TimedSentence, row: str, *, duration_s: float) -> None:
        """Add a sentence as the field reads it: its end is cut to its video's; without any length left it is dropped.

        Raises:
            ValueError: when the sentence has no words.
        """
        end_s = min(sentence.end_s, duration_s)
        if end_s < sentence.end_s:
            reason = f"ends after the video: {sentence.end_s} -> {duration_s}"
            self._clipped.append(RowNote(row, sentence.qid, reason, sentence.split))
        if sentence.start_s >= end_s:
            self.drop(row, sentence.qid, f"starts at {sentence.start_s} s and ends at {end_s} s", sentence.split)
            return
        spans = (Moment(sentence.start_s, end_s),)
        self.add(Query(sentence.qid, sentence.video_id, sentence.text.strip(), spans, split=sentence.split), row)

    def drop(self, row: str, qid: str, reason: str, split: str) -> None:
        """Leave a row out, and list it."""
        self._dropped.append(RowNote(row, qid, reason, split))
        self._num_rows[split] += 1

    def add_duration(self, video_id: str, duration_s: float) -> None:
        """Note the annotated length of a video; the first one counts."""
        self._durations_s.setdefault(video_id, duration_s)

    def finish(self, *, empty: str) -> ReadResult:
        """Return everything gathered. `empty` says what an empty corpus lacks.

        Raises:
            ValueError: naming the wrong rows, the first twenty of them, or when no query was found.
        """
        if self._errors:
            more = len(self._errors) - _MAX_NAMED_ROWS
            raise ValueError("\n".join(self._errors[:_MAX_NAMED_ROWS]) + (f"\n... and {more} more" if more > 0 else ""))
        if not self._queries:
            left_out = f"; {note.row} is left out: {note.reason}" if (note := next(iter(self._dropped), None)) else ""
            raise ValueError(f"empty corpus: {empty}{left_out}")
        return ReadResult(
            queries=tuple(self._queries.values()),
            rows=self._rows,
            durations_s=self._durations_s,
            dropped=tuple(self._dropped),
            clipped=tuple(self._clipped),
            num_rows=dict(self._num_rows),
        )
