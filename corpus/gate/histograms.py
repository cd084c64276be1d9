"""Inline SVG charts of a table column: a histogram of numbers, or bars of the most frequent names.

Both take the values and a flag for each value that breaks a rule. Bars with such values have the class `mark`.
"""

import math
from collections import Counter
from html import escape

import numpy as np
import pandas as pd
from numpy.typing import NDArray

_WIDTH, _HEIGHT, _BASE = 320, 132, 108  # in units of the view box; _BASE is where bars stand
_MAX_BINS = 24
_MAX_BAR = 40
_NUM_NAMES = 6
_ROW = 20
_LABEL_LETTERS = 16
_FAR = 8  # values so many times beyond the 99th percentile share the last bar


def draw_numbers(values: "pd.Series[float]", broken: "pd.Series[bool]") -> str:
    """Return a histogram; outliers share its last bar."""
    given = values.notna()
    if not given.any():
        return _draw_nothing()
    numbers = np.asarray(values[given], dtype=np.float64)
    edges = _choose_edges(numbers)
    clipped = np.minimum(numbers, edges[-1])
    counts, _ = np.histogram(clipped, edges)
    marked, _ = np.histogram(clipped[broken[given].to_numpy(dtype=bool)], edges)
    width = min(_MAX_BAR, _WIDTH / len(counts))
    bars = "".join(_draw_bar(index, counts, marked, edges, width) for index in range(len(counts)) if counts[index])
    lowest, highest = float(numbers.min()), float(numbers.max())
    end = _format(highest) if highest <= edges[-1] else f"{_format(edges[-1])} … {_format(highest)}"
    labels = _text(0, _BASE + 17, _format(lowest))
    if highest > lowest:
        labels += _text(len(counts) * width, _BASE + 17, end, anchor="end")
    return _svg(_HEIGHT, f'{bars}<path class="axis" d="M0 {_BASE}H{_WIDTH}"/>{labels}')


def draw_names(values: "pd.Series[str]", broken: "pd.Series[bool]") -> str:
    """Return bars of the most frequent names with their counts."""
    counts = Counter(values.dropna())
    if not counts:
        return _draw_nothing()
    marked = set(values[broken].dropna())
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    rest = ranked[_NUM_NAMES:]
    rows = [(name, count, name in marked) for name, count in ranked[:_NUM_NAMES]]
    if rest:
        rows.append((f"{len(rest)} others", sum(count for _, count in rest), any(name in marked for name, _ in rest)))
    most = max(count for _, count, _ in rows)
    drawn = "".join(_draw_row(index, *row, most=most) for index, row in enumerate(rows))
    return _svg(_ROW * len(rows), drawn)


def _choose_edges(numbers: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the edges of the bars, one more than there are bars."""
    low, high = float(numbers.min()), float(numbers.max())
    usual = float(np.percentile(numbers, 99))
    if high - low > _FAR * (usual - low) > 0:
        high = usual + (usual - low) / _MAX_BINS
    if low == high:
        return np.array([low - 0.5, high + 0.5])
    if (numbers == np.round(numbers)).all():
        step = math.ceil((high - low + 1) / _MAX_BINS)  # each bar holds as many whole numbers
        return math.floor(low) - 0.5 + step * np.arange(math.ceil((high - low + 1) / step) + 1.0)
    return np.linspace(low, high, _MAX_BINS + 1)


def _draw_bar(index: int, counts: NDArray[np.int64], marked: NDArray[np.int64], edges: NDArray[np.float64], width: float) -> str:
    scale = (_BASE - 6) / counts.max()
    title = f"<title>{_format(edges[index])} to {_format(edges[index + 1])}: {counts[index]}</title>"
    bar = _draw_box(index * width, width, "bar", max(2.0, counts[index] * scale), title)
    mark = _draw_box(index * width, width, "mark", max(3.0, marked[index] * scale), title) if marked[index] else ""
    return bar + mark


def _draw_box(x: float, width: float, kind: str, height: float, title: str) -> str:
    shape = f'x="{x + 0.75:.2f}" y="{_BASE - height:.2f}" width="{width - 1.5:.2f}" height="{height:.2f}" rx="1.5"'
    return f'<rect class="{kind}" {shape}>{title}</rect>'


def _draw_row(index: int, name: str, count: int, is_marked: bool, *, most: int) -> str:
    top = index * _ROW
    label = name if len(name) <= _LABEL_LETTERS else f"{name[: _LABEL_LETTERS - 1]}…"
    width = max(2.0, 150 * count / most)
    bar = f'<rect class="{"mark" if is_marked else "bar"}" x="112" y="{top + 4}" width="{width:.2f}" height="12" rx="2"/>'
    return _text(0, top + 14, label) + bar + _text(112 + width + 6, top + 14, f"{count:,}")


def _draw_nothing() -> str:
    return _svg(_HEIGHT, _text(_WIDTH / 2, _HEIGHT / 2, "no values", anchor="middle"))


def _format(number: float) -> str:
    return f"{number:,.0f}" if abs(number) >= 1000 else f"{number:.4g}"


def _text(x: float, y: float, text: str, *, anchor: str = "start") -> str:
    return f'<text x="{x:.2f}" y="{y:.2f}" text-anchor="{anchor}">{escape(text)}</text>'


def _svg(height: float, content: str) -> str:
    return f'<svg viewBox="0 0 {_WIDTH} {height:g}" role="img">{content}</svg>'
