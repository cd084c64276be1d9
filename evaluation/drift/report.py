"""Report on one window for people: one self-contained HTML file, and Markdown for Prefect and terminals."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from corpus.moments import Floats
from corpus.page_template import load_template
from evaluation.drift.comparison import Comparison, Finding
from evaluation.drift.examples import Examples

_MAP_WIDTH, _MAP_HEIGHT, _MARGIN = 640, 360, 16


@dataclass(frozen=True)
class Report:
    """Everything that a report shows."""

    comparison: Comparison
    examples: Examples
    odd: Mapping[str, tuple[tuple[str, float], ...]]  # by method: odd sentences with score / threshold, the oddest first
    num_reference: int
    num_window: int
    first_s: float  # time of the first and last row, seconds since 1970
    last_s: float
    model: str
    action: str  # what follows from the decision, as a sentence

    @property
    def verdict(self) -> str:
        """The decision as a headline."""
        if self.comparison.has_drift:
            return "The traffic has moved away from training"
        return "The traffic looks like training" if self.comparison.num_tests else "Nothing could be compared"


def build_page(report: Report) -> str:
    """Return the HTML page."""
    points = _place(report.examples.reference_map, report.examples.window_map)
    template = load_template(
        Path(__file__).with_name("report.html"), {"p": format_p, "number": format_number, "time": format_time}
    )
    return template.render(report=report, points=points, width=_MAP_WIDTH, height=_MAP_HEIGHT)


def build_markdown(report: Report) -> str:
    """Return the report as Markdown."""
    comparison = report.comparison
    moved = {one.key for one in comparison.list_moved()}
    lines = [
        f"# {report.verdict}",
        "",
        f"{report.num_window} sentences from {format_time(report.first_s)} to {format_time(report.last_s)}, compared with "
        f"{report.num_reference} of training; models {report.model}. p = {format_p(comparison.p_value)} over "
        f"{comparison.num_tests} tests, level {comparison.level}.",
        "",
        report.action,
        "",
        "| | compared | by | value | p, adjusted | before | now |",
        "|---|---|---|---|---|---|---|",
        *(_to_row(one, comparison.num_tests, has_moved=one.key in moved) for one in comparison.findings),
    ]
    if report.examples.typical and comparison.has_drift:
        lines += ["", "Sentences least like training:", "", *(f"- {_escape(one)}" for one in report.examples.typical)]
    if report.examples.unknown_words:
        words = ", ".join(f"{_escape(word)} ({number})" for word, number in report.examples.unknown_words)
        lines += ["", f"Unknown words, with their number of sentences: {words}"]
    for method, odd in report.odd.items():
        lines += ["", f"Odd single sentences by {method}: {', '.join(_escape(text) for text, _ in odd) or 'none'}"]
    return "\n".join(lines) + "\n"


def _to_row(finding: Finding, num_tests: int, *, has_moved: bool) -> str:
    if finding.statistic is None:
        return f"| | {finding.subject} | {finding.method} | | | {finding.reason} | |"
    cells = [
        "**moved**" if has_moved else "",
        finding.subject,
        finding.method,
        f"{finding.unit} {format_number(finding.statistic)}",
        format_p(finding.adjust(num_tests)),
        _escape(finding.before),
        _escape(finding.now),
    ]
    return f"| {' | '.join(cells)} |"


def _escape(text: str) -> str:
    """Return text that Markdown shows as it is, in one line."""
    return "".join(f"\\{one}" if one in "\\`*_[]<>|#" else one for one in " ".join(text.split()))


def _place(*maps: Floats) -> list[list[tuple[float, float]]]:
    """Return the points of each map in pixels, over a common frame."""
    everything = [point for one in maps for point in one.tolist()]
    if not everything:
        return [[] for _ in maps]
    low = [min(point[axis] for point in everything) for axis in (0, 1)]
    high = [max(point[axis] for point in everything) for axis in (0, 1)]
    sizes = (_MAP_WIDTH - 2 * _MARGIN, _MAP_HEIGHT - 2 * _MARGIN)

    def scale(value: float, axis: int) -> float:
        return float(round(_MARGIN + sizes[axis] * (value - low[axis]) / ((high[axis] - low[axis]) or 1), 1))

    return [[(scale(x, 0), scale(y, 1)) for x, y in one.tolist()] for one in maps]


def format_p(value: float | None) -> str:
    """Return a p-value to show."""
    if value is None:
        return ""
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def format_number(value: float | None) -> str:
    """Return a statistic to show."""
    return "" if value is None else f"{value:.3g}"


def format_time(time_s: float) -> str:
    """Return a time to show, in UTC."""
    return datetime.fromtimestamp(time_s, UTC).strftime("%Y-%m-%d %H:%M UTC")
