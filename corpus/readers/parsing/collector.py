"""Collector of the queries of a corpus: one error names all wrong rows; dropped and clipped rows are listed."""

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
    """A sentence with one moment, as in Charades-STA, ActivityNet Captions and TACoS; it may end after its video."""

    qid: str
    video_id: str
    text: str
    start_s: float
    end_s: float
    split: str


class Collector:
    """Collects the rows that a reader finds below `root` into one `ReadResult`."""

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
        """Collect a ValueError of the block under the name of the row, which starts with its file, for `finish`."""
        try:
            yield
        except ValueError as error:
            self._errors.append(f"{self._root}/{row}: {error}")

    def add(self, query: Query, row: str, *, num_rows: int = 1) -> None:
        """Add a query that comes from `num_rows` rows.

        Raises:
            ValueError: when another query has the same qid.
        """
        if query.qid in self._queries:
            raise ValueError(f"the qid {query.qid!r} is also the qid of {self._rows[query.qid]}; give each query a different qid")
        self._queries[query.qid], self._rows[query.qid] = query, row
        self._num_rows[query.split] += num_rows

    def add_timed(self, sentence: TimedSentence, row: str, *, duration_s: float) -> None:
        """Add a sentence by the field's rule: clip its end to the video, and drop it if no length remains.

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
        """Leave out a row, and list it."""
        self._dropped.append(RowNote(row, qid, reason, split))
        self._num_rows[split] += 1

    def add_duration(self, video_id: str, duration_s: float) -> None:
        """Note the annotated length of a video; the first one counts."""
        self._durations_s.setdefault(video_id, duration_s)

    def finish(self, *, empty: str) -> ReadResult:
        """Return the result. `empty` is the message for a corpus without queries.

        Raises:
            ValueError: naming the first twenty wrong rows, or when there is no query.
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
