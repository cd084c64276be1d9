"""The table of moments: rank, times, score, confidence and file of each, for terminals of any width.

If every row fits on one line, the result is a table, else one block a moment. No text is cut. Only lines with names may be
wider than the terminal, which wraps them, so that you can copy a path in one piece.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from cuepoint.texts import format_time, to_printable

_GAP = "  "
_INDENT = "   "
Measure = Callable[[str], int]


class Row(NamedTuple):
    """The printed fields of a moment. `play` is its file with the time to play."""

    rank: int
    video_id: str
    start_s: float
    end_s: float
    score: float
    confidence: float | None
    play: str


def render(rows: Sequence[Row], width: int | None, *, measure: Measure) -> list[str]:
    """Return the lines of a table for a terminal of `width` columns; None stands for no terminal, without a limit.

    `measure` returns the number of columns of a text.
    """
    shown = [_Shown.of(row) for row in rows]
    for with_video in (True, False):
        if not with_video and not all(one.is_video_in_play for one in shown):
            break
        lines = _render_table(shown, with_video=with_video, measure=measure)
        if width is None or max(map(measure, lines)) <= width:
            return lines
    assert width is not None
    return [line for one in shown for line in _render_block(one, width, measure=measure)]


class _Shown(NamedTuple):
    rank: str
    start: str
    end: str
    score: str
    confidence: str
    video: str
    play: str

    @classmethod
    def of(cls, row: Row) -> "_Shown":
        confidence = "-" if row.confidence is None else f"{100 * row.confidence:.0f} %"
        times = format_time(row.start_s), format_time(row.end_s)
        return cls(str(row.rank), *times, f"{row.score:.3f}", confidence, to_printable(row.video_id), to_printable(row.play))

    @property
    def is_video_in_play(self) -> bool:
        return self.video in self.play


def _render_table(shown: Sequence[_Shown], *, with_video: bool, measure: Measure) -> list[str]:
    """Return a header and one line a moment; names come last, because their script may run from right to left."""
    header = ["rank", "time", "score", "confidence", *(["video"] if with_video else []), "play"]
    cells = [
        [one.rank, f"{one.start} - {one.end}", one.score, one.confidence, *([one.video] if with_video else []), one.play]
        for one in shown
    ]
    widths = [max(map(measure, column)) for column in zip(header, *cells, strict=True)]
    rights = {"rank", "score", "confidence"}

    def pad(name: str, text: str, columns: int) -> str:
        blanks = " " * (columns - measure(text))
        return blanks + text if name in rights else text + blanks

    return [_GAP.join(map(pad, header, line, widths)).rstrip() for line in (header, *cells)]


def _render_block(one: _Shown, width: int, *, measure: Measure) -> list[str]:
    fields = [one.rank, f"{one.start} -", one.end, f"score {one.score}", f"confidence {one.confidence}"]
    names = ([] if one.is_video_in_play else [one.video]) + [one.play]
    return [*_wrap(fields, width, measure=measure), *(f"{_INDENT}{name}" for name in names)]


def _wrap(fields: Sequence[str], width: int, *, measure: Measure) -> list[str]:
    """Put as many fields on each line as fit; no field is cut."""
    lines: list[str] = []
    for field in fields:
        joined = f"{lines[-1]}{' ' if lines[-1].endswith(' -') else _GAP}{field}" if lines else field
        if lines and measure(joined) > width:
            lines.append(f"{_INDENT}{field}")
        else:
            lines[-1:] = [joined]
    return lines
