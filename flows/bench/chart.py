"""Bar chart of the page: one bar a row with its interval, as SVG that is legible on light and dark backgrounds."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import NamedTuple

_WIDTH, _LEFT, _RIGHT, _TOP, _ROW, _BAR = 880, 300, 64, 62, 22, 12
_TICKS = 5
_STYLE = """
.ground { fill: #ffffff } .ink { fill: #1f2933 } .muted { fill: #5b6775 } .grid { stroke: #e3e7ec } .whisker { stroke: #1f2933 }
@media (prefers-color-scheme: dark) {
  .ground { fill: #0d1117 } .ink { fill: #e6edf3 } .muted { fill: #9aa5b1 } .grid { stroke: #2a313a } .whisker { stroke: #e6edf3 }
}
text { font: 13px -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif }
.label { font: 12.5px ui-monospace, Menlo, "DejaVu Sans Mono", monospace } .title { font-size: 16px; font-weight: 600 }
"""


class Bar(NamedTuple):
    """A value with its interval, all shares; `kind` decides the colour."""

    label: str
    kind: str
    value: float
    low: float | None = None
    high: float | None = None


def draw_bars(title: str, bars: Sequence[Bar], colours: Mapping[str, str]) -> str:
    """Draw bars from the top down in the given order; `colours` maps each kind to its colour, in the order of the legend."""
    height = _TOP + _ROW * len(bars) + 40
    limit = max([0.1, *(bar.high or bar.value for bar in bars)])
    step = _choose_step(limit)
    scale = (_WIDTH - _LEFT - _RIGHT) / (step * -(-limit // step))
    used = {kind: colour for kind, colour in colours.items() if any(bar.kind == kind for bar in bars)}
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{escape(title)}">',
        f"<style>{_STYLE}</style>",
        f'<rect class="ground" width="{_WIDTH}" height="{height}" rx="12"/>',
        f'<text class="ink title" x="20" y="28">{escape(title)}</text>',
        *_draw_legend(used),
        *_draw_grid(limit, step, scale, height),
        *(line for row, bar in enumerate(bars) for line in _draw_bar(bar, _TOP + _ROW * row, scale, used[bar.kind])),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _choose_step(limit: float) -> float:
    """Return the distance between grid lines: a round share that fits a few times into the limit."""
    return next(step for step in (0.01, 0.02, 0.05, 0.1, 0.2) if limit / step <= _TICKS or step == 0.2)


def _draw_legend(colours: Mapping[str, str]) -> list[str]:
    lines, x = [], 20.0
    for kind, colour in colours.items():
        lines.append(f'<rect x="{x:.0f}" y="39" width="11" height="11" rx="2" fill="{colour}"/>')
        lines.append(f'<text class="muted" x="{x + 17:.0f}" y="49">{escape(kind)}</text>')
        x += 42 + 7.2 * len(kind)
    return lines


def _draw_grid(limit: float, step: float, scale: float, height: int) -> list[str]:
    lines = []
    for number in range(int(-(-limit // step)) + 1):
        x = _LEFT + number * step * scale
        lines.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP - 4}" y2="{height - 32}"/>')
        lines.append(f'<text class="muted" x="{x:.1f}" y="{height - 14}" text-anchor="middle">{100 * number * step:.0f} %</text>')
    return lines


def _draw_bar(bar: Bar, y: int, scale: float, colour: str) -> list[str]:
    middle = y + _ROW / 2
    lines = [
        f'<text class="ink label" x="{_LEFT - 10}" y="{middle + 4:.1f}" text-anchor="end">{escape(bar.label)}</text>',
        f'<rect x="{_LEFT}" y="{middle - _BAR / 2:.1f}" width="{max(bar.value * scale, 1):.1f}" height="{_BAR}" rx="2" '
        f'fill="{colour}"/>',
    ]
    end = bar.value
    if bar.low is not None and bar.high is not None:
        low, high, end = _LEFT + bar.low * scale, _LEFT + bar.high * scale, bar.high
        lines.append(f'<path class="whisker" d="M{low:.1f} {middle:.1f}H{high:.1f}" stroke-width="1.6"/>')
    lines.append(f'<text class="ink" x="{_LEFT + end * scale + 7:.1f}" y="{middle + 4.5:.1f}">{100 * bar.value:.1f}</text>')
    return lines
