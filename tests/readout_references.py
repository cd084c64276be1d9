"""Slow readouts, written from the papers: lists of spans (first, last) of one similarity curve. Letters: N cells."""

from collections.abc import Sequence
from fractions import Fraction

import numpy as np

Span = tuple[int, int]


def list_runs(flags: Sequence[bool]) -> list[Span]:
    """Return the runs of set flags, in order."""
    runs: list[Span] = []
    for cell, flag in enumerate(flags):
        if flag and runs and runs[-1][1] == cell - 1:
            runs[-1] = (runs[-1][0], cell)
        elif flag:
            runs.append((cell, cell))
    return runs


def propose_tag(curve: Sequence[float], step: Fraction, *, rounding: float) -> set[Span]:
    """TAG (Zhao et al. 2017, section 4.1): absorb the basins behind each seed while their share stays at the tolerance.

    A cell that is above a level by no more than `rounding` is at it.
    """
    count = int(1 / step) - 1
    values = [number * step for number in range(1, count + 1)]
    proposals = set()
    for level in values:
        basins = list_runs([value > float(level) + rounding for value in curve])
        for tolerance in values:
            for seed in range(len(basins)):
                proposals.add(_absorb(basins[seed:], tolerance))
    return proposals


def _absorb(basins: Sequence[Span], tolerance: Fraction) -> Span:
    (first, last), covered = basins[0], basins[0][1] - basins[0][0] + 1
    for start, end in basins[1:]:
        covered += end - start + 1
        if Fraction(covered, end - first + 1) < tolerance:
            break
        last = end
    return first, last


def find_maximal(values: Sequence[float], start: int = 0) -> list[Span]:
    """Ruzzo and Tompa 1999, section 1: the maximum subarray, then those of what lies before and behind it."""
    spans = [(first, last) for first in range(len(values)) for last in range(first, len(values))]
    best = max(spans, key=lambda span: (sum(values[span[0] : span[1] + 1]), span[0] - span[1]), default=None)
    if best is None or sum(values[best[0] : best[1] + 1]) <= 0:
        return []
    first, last = best
    before, behind = find_maximal(values[:first], start), find_maximal(values[last + 1 :], start + last + 1)
    return [*before, (start + first, start + last), *behind]


def merge_runs(flags: Sequence[bool], max_gap: int) -> list[Span]:
    """Return the runs of set flags, merged from left to right where the gap is short enough."""
    merged: list[Span] = []
    for first, last in list_runs(flags):
        if merged and first - merged[-1][1] - 1 <= max_gap:
            merged[-1] = (merged[-1][0], last)
        else:
            merged.append((first, last))
    return merged


def cut_shots(cells: np.ndarray, min_distance: float, min_cells: int) -> list[Span]:
    """Return the shots of cells (N, D): a cut is far enough, and the first of the farthest within `min_cells` cells."""
    unit = cells / np.linalg.norm(cells, axis=1, keepdims=True)
    distances = {cell: 1 - float(unit[cell - 1] @ unit[cell]) for cell in range(1, len(cells))}
    cuts = [0]
    for cell, distance in distances.items():
        near = [other for other in distances if abs(other - cell) < min_cells]
        if distance > min_distance and cell == max(near, key=lambda other: (distances[other], -other)):
            cuts.append(cell)
    return [(first, end - 1) for first, end in zip(cuts, [*cuts[1:], len(cells)], strict=True)]


def contrast(curve: Sequence[float], span: Span, *, exponent: float, flank_share: float, flank_weight: float) -> float:
    """Return (mean inside - weight * mean of the flanks) * n ** exponent; the whole video is compared with 0."""
    first, last = span
    inside = curve[first : last + 1]
    flank = max(int(len(inside) * flank_share), 1)
    flanks = [*curve[max(first - flank, 0) : first], *curve[last + 1 : last + 1 + flank]]
    return (float(np.mean(inside)) - flank_weight * (float(np.mean(flanks)) if flanks else 0.0)) * len(inside) ** exponent


def grow_peaks(curve: Sequence[float], heights: Sequence[float], share: float, *, rounding: float) -> dict[Span, float]:
    """Return the region of each local maximum of the heights with its height: neighbours above the share are taken in turn.

    Values that differ by no more than `rounding` are equal.
    """
    regions: dict[Span, float] = {}
    for seed, height in enumerate(heights):
        is_above_left = seed == 0 or height - rounding > heights[seed - 1]
        if not is_above_left or (seed + 1 < len(heights) and height + rounding < heights[seed + 1]):
            continue
        first = last = seed
        while first > 0 and curve[first - 1] - rounding > share * curve[seed]:
            first -= 1
        while last + 1 < len(curve) and curve[last + 1] - rounding > share * curve[seed]:
            last += 1
        regions[first, last] = max(height, regions.get((first, last), height))
    return regions
