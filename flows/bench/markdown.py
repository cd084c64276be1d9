"""Markdown formatting of the page: tables, percentages, intervals."""

from collections.abc import Mapping, Sequence

NO_BREAK = "\N{NO-BREAK SPACE}"


def format_table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def percent(value: float | None) -> str:
    """Return a share in percent with one decimal, a dash for None."""
    return "-" if value is None else f"{100 * value:.1f}"


def with_interval(figures: Mapping[str, float | None], name: str) -> str:
    """Return a figure in percent, with its interval if it has one."""
    low, high = figures.get(f"{name}_low"), figures.get(f"{name}_high")
    interval = "" if low is None or high is None else f" [{percent(low)},{NO_BREAK}{percent(high)}]"
    return percent(figures[name]) + interval
