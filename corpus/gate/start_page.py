"""Start page of Data Docs: the verdict, failing rows first, charts of the tables, every rule."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
from markupsafe import Markup

from corpus.gate.findings import Finding, show
from corpus.gate.histograms import draw_names, draw_numbers
from corpus.gate.suites import Rule
from corpus.page_template import load_template


class _Picture(NamedTuple):
    """A column to draw. `names` is true if it holds names instead of numbers."""

    table: str
    column: str
    title: str
    names: bool = False


class _Link(NamedTuple):
    title: str
    address: str


_PICTURES = (
    _Picture("videos", "duration_s", "Seconds per video"),
    _Picture("videos", "fps", "Frames per second"),
    _Picture("videos", "num_queries", "Sentences per video"),
    _Picture("queries", "num_words", "Words per sentence"),
    _Picture("queries", "longest_moment_s", "Seconds of the longest moment"),
    _Picture("queries", "first_start_s", "Start of the first moment, seconds"),
    _Picture("videos", "split", "Videos by split", names=True),
    _Picture("queries", "split", "Sentences by split", names=True),
    _Picture("queries", "language", "Language, by function words", names=True),
)


def build_start_page(findings: Sequence[Finding], tables: Mapping[str, pd.DataFrame], pages: Sequence[str]) -> str:
    """Return the page; `pages` are the addresses of the pages of Great Expectations, relative to it."""
    template = load_template(
        Path(__file__).with_name("start_page.html"), {"words": _to_words, "values": _list_values, "shown": show}
    )
    return template.render(
        stopping=[finding for finding in findings if finding.stops],
        warnings=[finding for finding in findings if not finding.success and not finding.stops],
        holding=[finding for finding in findings if finding.success],
        findings=sorted(findings, key=_rank),
        rows={name: len(table) for name, table in tables.items()},
        pictures=[(picture.title, _draw(picture, tables[picture.table], findings)) for picture in _PICTURES],
        pages=[_Link(_name_page(page), page) for page in pages],
    )


def _rank(finding: Finding) -> int:
    """Return 0 for a finding that stops the pipeline, 1 for a warning, 2 for a rule that holds."""
    return 2 if finding.success else int(not finding.stops)


def _draw(picture: _Picture, table: pd.DataFrame, findings: Sequence[Finding]) -> Markup:
    """Draw the picture as SVG with escaped texts."""
    column = table[picture.column]
    rules = [finding.rule for finding in findings if finding.rule.table == picture.table and not finding.error]
    broken = pd.Series(False, index=column.index)
    for rule in rules:
        if rule.values.get("column") == picture.column:
            broken |= _find_broken(column, rule)
    return Markup(draw_names(column, broken) if picture.names else draw_numbers(column, broken))


def _find_broken(column: "pd.Series[Any]", rule: Rule) -> "pd.Series[bool]":
    """Return which values break a rule about ranges or sets; other rules mark no values."""
    values = rule.values
    broken = pd.Series(False, index=column.index)
    if rule.type == "expect_column_values_to_be_in_set":
        return ~column.isin(values["value_set"]) & column.notna()
    if rule.type != "expect_column_values_to_be_between":
        return broken
    if values.get("min_value") is not None:
        broken |= column <= values["min_value"] if values.get("strict_min") else column < values["min_value"]
    if values.get("max_value") is not None:
        broken |= column >= values["max_value"] if values.get("strict_max") else column > values["max_value"]
    return broken


def _to_words(name: str) -> str:
    words = name.replace("_", " ")
    return words[:1].upper() + words[1:]


def _list_values(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} = {show(value)}" for name, value in values.items())


def _name_page(page: str) -> str:
    kind, _, rest = page.partition("/")
    table = rest.partition("/")[0].removesuffix(".html")
    return f"{table}: {'results' if kind == 'validations' else 'expectations'}"
