"""Diagrams of a report as SVG: recall, calibration, lengths, score maps. Equal inputs give equal bytes."""

import io
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from corpus.moments import Floats
from evaluation.calibration import ReliabilityBin, compute_calibration_error
from models.metrics.roc import RocCurve

TRUTH_COLOUR, FOUND_COLOUR = "#0b8f6f", "#e8590c"
INK, MUTED, GRID = "#1f2933", "#697586", "#dee2e6"
ROW_COLOURS = {
    "localizer": "#e8590c",
    "blind": "#7048e8",
    "prior": "#1c7ed6",
    "whole_video": "#2b8a3e",
    "shuffled": "#c2255c",
    "chance": "#868e96",
}
WAY_LABELS = {
    "search": "search of all videos",
    "localize": "one video",
    "search_unlabelled": "search, without labels",
    "localize_unlabelled": "one video, without labels",
}
WAY_COLOURS = {"search": "#1c7ed6", "localize": "#e8590c", "search_unlabelled": "#74c0fc", "localize_unlabelled": "#ffc078"}
_SCORES = LinearSegmentedColormap.from_list("scores", ["#fff4e6", "#ffa94d", "#d9480f", "#5f1a02"])
_MAX_MAP_BINS = 64
_LENGTH_BINS = 24


class ScoreMap(NamedTuple):
    """All scored candidates of one query, with its true moments and its answers, in seconds."""

    spans: Floats  # (M, 2)
    scores: Floats  # (M,) higher is better, any range
    truth: Floats  # (G, 2)
    found: Floats  # (K, 2), best first
    duration_s: float


def draw_curve(curve: Sequence[Mapping[str, Any]], labels: Mapping[str, str]) -> str:
    """Draw R@1 against the IoU threshold, one line per column of the curve."""
    figure, axes = _make_figure(4.2, 3.7)
    thresholds = [point["iou"] for point in curve]
    for name, label in labels.items():
        values = [point[name] for point in curve]
        if None in values:
            continue
        style: dict[str, Any] = {"linewidth": 2.8, "zorder": 3} if name == "localizer" else {"linewidth": 1.5}
        axes.plot(thresholds, [100 * value for value in values], color=ROW_COLOURS[name], label=label, **style)
    axes.set(xlim=(0, 1), ylim=(0, 100), xlabel="IoU threshold", ylabel="queries answered right at rank 1 (%)")
    axes.legend(frameon=False, fontsize=9.5)
    return _to_svg(figure)


def draw_calibration(lines: Mapping[str, Sequence[ReliabilityBin]]) -> str:
    """Draw the share of right answers against their score, one line per way of scoring; each dot is a bin of equal count."""
    figure, axes = _make_figure(4.2, 3.7)
    axes.plot([0, 100], [0, 100], color=MUTED, linewidth=1, linestyle=(0, (4, 3)))
    for (name, bins), colour in zip(lines.items(), (MUTED, FOUND_COLOUR), strict=False):
        scores, shares = [100 * one.score for one in bins], [100 * one.accuracy for one in bins]
        label = f"{name}: {100 * compute_calibration_error(bins):.1f} points off"
        axes.plot(scores, shares, color=colour, marker="o", markersize=5.5, linewidth=1.6, clip_on=False, label=label)
    axes.set(xlim=(0, 100), ylim=(0, 100), xlabel="score of the first answer (%)", ylabel="right answers (%)")
    axes.legend(frameon=False, fontsize=9.5, loc="upper left")
    return _to_svg(figure)


def draw_roc(curves: Mapping[str, RocCurve], thresholds: Mapping[str, tuple[float, float]]) -> str:
    """Draw the ROC curve of each kind of search; the dot marks the threshold, a pair (alarms, hits)."""
    figure, axes = _make_figure(4.2, 3.7)
    axes.plot([0, 100], [0, 100], color=MUTED, linewidth=1, linestyle=(0, (4, 3)))
    for name, curve in curves.items():
        alarms, hits = thresholds[name]
        label, colour = f"{WAY_LABELS[name]}: area {curve.area:.2f}", WAY_COLOURS[name]
        axes.plot(100 * curve.false_alarm_rates, 100 * curve.hit_rates, color=colour, linewidth=1.8, label=label)
        axes.plot(100 * alarms, 100 * hits, color=colour, marker="o", markersize=8, clip_on=False)
    axes.set(xlim=(0, 100), ylim=(0, 100), xlabel="false alarms: absent but found (%)", ylabel="hits: present and found (%)")
    axes.legend(frameon=False, fontsize=9.5, loc="lower right")
    return _to_svg(figure)


def draw_confidence(lines: Mapping[str, Sequence[ReliabilityBin]]) -> str:
    """Draw the share of present moments against their confidence, one line per kind of search."""
    figure, axes = _make_figure(4.2, 3.7)
    axes.plot([0, 100], [0, 100], color=MUTED, linewidth=1, linestyle=(0, (4, 3)))
    for name, bins in lines.items():
        confidences, shares = [100 * one.score for one in bins], [100 * one.accuracy for one in bins]
        label, colour = f"{WAY_LABELS[name]}: {100 * compute_calibration_error(bins):.1f} points off", WAY_COLOURS[name]
        axes.plot(confidences, shares, color=colour, marker="o", markersize=5.5, linewidth=1.6, clip_on=False, label=label)
    axes.set(xlim=(0, 100), ylim=(0, 100), xlabel="confidence (%)", ylabel="present (%)")
    axes.legend(frameon=False, fontsize=9.5, loc="upper left")
    return _to_svg(figure)


def draw_lengths(found_s: Floats, true_s: Floats) -> str:
    """Draw the lengths of the first answers and of the true moments: found_s (A,) and true_s (Q,) in seconds."""
    figure, axes = _make_figure(4.2, 3.7)
    longest = max(float(np.max(lengths, initial=0.0)) for lengths in (found_s, true_s)) or 1.0
    edges = np.linspace(0, longest, _LENGTH_BINS + 1)
    axes.hist(true_s, edges.tolist(), color=TRUTH_COLOUR, alpha=0.35, label="true")
    axes.hist(found_s, edges.tolist(), color=FOUND_COLOUR, histtype="step", linewidth=2.2, label="found")
    axes.set(xlim=(0, longest), xlabel="length of the moment (s)", ylabel="sentences")
    axes.legend(frameon=False, fontsize=9.5)
    return _to_svg(figure)


def draw_score_map(score_map: ScoreMap) -> str:
    """Draw the scores of all candidates by start and end; a cell shows the best of its candidates."""
    figure, axes = _make_figure(3.6, 3.1)
    axes.grid(visible=False)
    duration_s = score_map.duration_s
    axes.imshow(
        fill_map(score_map.spans, score_map.scores, duration_s),
        extent=(0, duration_s, 0, duration_s),
        origin="lower",
        cmap=_SCORES,
        interpolation="nearest",
        aspect="auto",
    )
    _mark(axes, score_map.truth, marker="s", edgecolor=TRUTH_COLOUR, label="true")
    _mark(axes, score_map.found[:1], marker="o", edgecolor="#1c7ed6", label="found")
    axes.set(xlim=(0, duration_s), ylim=(0, duration_s), xlabel="start (s)", ylabel="end (s)")
    axes.legend(frameon=False, fontsize=9, loc="lower right")
    return _to_svg(figure)


def fill_map(spans: Floats, scores: Floats, duration_s: float) -> Floats:
    """Return the best score by end and start, as the share of candidates below it: (M, 2), (M,) -> (N, N), NaN without any.

    The map shows ranks instead of scores, because the range of logits differs between models.
    """
    bins = int(np.clip(len(np.unique(spans[:, 0])), 1, _MAX_MAP_BINS))
    starts = np.clip((spans[:, 0] * bins / duration_s + 1e-6).astype(int), 0, bins - 1)
    ends = np.clip(np.ceil(spans[:, 1] * bins / duration_s - 1e-6).astype(int) - 1, 0, bins - 1)
    shares = np.searchsorted(np.sort(scores), scores) / max(1, len(scores) - 1)
    filled = np.full((bins, bins), -1.0)
    np.maximum.at(filled, (ends, starts), shares)
    return np.where(filled < 0, np.nan, filled)


def _mark(axes: Axes, spans: Floats, *, marker: str, edgecolor: str, label: str) -> None:
    axes.scatter(spans[:, 0], spans[:, 1], s=95, marker=marker, facecolor="none", edgecolor=edgecolor, linewidth=2.2, label=label)


def _make_figure(width: float, height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), facecolor="none", layout="constrained")
    axes = figure.add_subplot()
    axes.grid(color=GRID, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _to_svg(figure: Figure) -> str:
    buffer = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": "cuepoint", "svg.fonttype": "path"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    return buffer.getvalue()
