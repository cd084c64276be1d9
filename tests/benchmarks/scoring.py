"""Cost of scoring, compared with loops over queries: python tests/benchmarks/scoring.py, and --page to write scoring.md.

The number of queries and candidates is that of ActivityNet Captions' test split under 2D-TAN: suppression, R@{1, 5} at
three thresholds and mIoU. Both loops sort a query's candidates, suppress until five are kept, and score those. One loop is
plain Python over lists, the other makes a few NumPy calls a round. All run in turns in one process, the loops on a share
of the queries, and must agree on every figure.
"""

import argparse
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from process_memory import read_status

from corpus.moments import compute_cell_spans
from models.layers.candidate_map import list_candidates
from models.metrics.convention import Figures, IoURule
from models.metrics.spans import PaddedSpans, RankedSpans
from models.metrics.tan2d import Tan2dConvention

PAGE = Path(__file__).with_suffix(".md")
NUM_QUERIES, NUM_CELLS, SCALE_LAYERS = 17_031, 64, (16, 8, 8)
MAX_IOU, KEPT, THRESHOLDS = 0.5, 5, (0.3, 0.5, 0.7)
ROUNDS, LOOP_QUERIES = 5, 1000
LIMIT_RATIO, LIMIT_BYTES = 50, 1 << 30
CONVENTION = Tan2dConvention(iou_rule=IoURule.ABOVE, max_iou=MAX_IOU, max_kept=KEPT, thresholds=THRESHOLDS)


def draw_queries(rng: np.random.Generator, *, smooth: bool) -> tuple[RankedSpans, PaddedSpans]:
    """Return candidates with scores and one true moment a query.

    Smooth scores rise towards the true moment, like those of a trained model; otherwise scores are independent.
    """
    cells, _ = list_candidates(NUM_CELLS, SCALE_LAYERS)
    unit = compute_cell_spans(cells, num_cells=NUM_CELLS, duration_s=1.0)
    durations_s = rng.uniform(20, 240, NUM_QUERIES)
    spans = unit[None] * durations_s[:, None, None]  # (Q, M, 2)
    truth = np.sort(rng.uniform(0, 1, (NUM_QUERIES, 2)), axis=1)
    scores = rng.standard_normal(spans.shape[:2])
    scores *= 0.1
    if smooth:
        for row, (start, end) in enumerate(truth):
            scores[row] -= np.abs(unit[:, 0] - start) + np.abs(unit[:, 1] - end)
    moments = (truth * durations_s[:, None])[:, None]
    ones = np.ones(spans.shape[:2], dtype=bool)
    return RankedSpans(spans, scores, ones), PaddedSpans(moments, np.ones((NUM_QUERIES, 1), dtype=bool))


def score_at_once(candidates: RankedSpans, truth: PaddedSpans) -> Figures:
    """Score like `evaluate`."""
    return CONVENTION.compute_figures(CONVENTION.rank(candidates), truth)


def score_with_lists(candidates: RankedSpans, truth: PaddedSpans) -> Figures:
    """Score the queries one by one in plain Python."""
    rows = []
    listed = (candidates.spans.tolist(), candidates.scores.tolist(), truth.spans[:, 0].tolist())
    for spans, scores, moment in zip(*listed, strict=True):
        kept: list[list[float]] = []
        for place in sorted(range(len(scores)), key=lambda place: -scores[place]):
            if all(compute_iou(spans[place], other) <= MAX_IOU for other in kept):
                kept.append(spans[place])
                if len(kept) == KEPT:
                    break
        overlaps = [compute_hull_iou(span, moment) for span in kept]
        rows.append([float(max(overlaps[:rank]) > level) for rank in (1, 5) for level in THRESHOLDS] + overlaps[:1])
    return name_columns(rows)


def compute_iou(span: list[float], other: list[float]) -> float:
    """Return the overlap of two spans over their union."""
    shared = max(0.0, min(span[1], other[1]) - max(span[0], other[0]))
    return shared / ((span[1] - span[0]) + (other[1] - other[0]) - shared)


def compute_hull_iou(span: list[float], other: list[float]) -> float:
    """Return the overlap of two spans over their hull."""
    return max(0.0, min(span[1], other[1]) - max(span[0], other[0])) / (max(span[1], other[1]) - min(span[0], other[0]))


def score_with_arrays(candidates: RankedSpans, truth: PaddedSpans) -> Figures:
    """Score the queries one by one with NumPy: each round keeps the best remaining candidate and drops its overlaps."""
    rows = []
    for spans, scores, (start, end) in zip(candidates.spans, candidates.scores, truth.spans[:, 0], strict=True):
        order = np.argsort(-scores, kind="stable")
        starts, ends = spans[order, 0], spans[order, 1]
        kept = []
        while len(starts) and len(kept) < KEPT:
            kept.append((starts[0], ends[0]))
            shared = np.maximum(0, np.minimum(ends, ends[0]) - np.maximum(starts, starts[0]))
            left = shared / ((ends - starts) + (ends[0] - starts[0]) - shared) <= MAX_IOU
            starts, ends = starts[left], ends[left]
        first, last = np.array(kept).T
        shared = np.maximum(0, np.minimum(last, end) - np.maximum(first, start))
        overlaps = shared / (np.maximum(last, end) - np.minimum(first, start))
        rows.append([float(overlaps[:rank].max() > level) for rank in (1, 5) for level in THRESHOLDS] + [overlaps[0]])
    return name_columns(rows)


def name_columns(rows: Sequence[Sequence[float]]) -> Figures:
    """Return the rows as figures."""
    names = [f"R{rank}_iou{level:g}" for rank in (1, 5) for level in THRESHOLDS] + ["mIoU"]
    return dict(zip(names, np.array(rows, dtype=np.float64).T, strict=True))


LOOPS: dict[str, Callable[[RankedSpans, PaddedSpans], Figures]] = {
    "a loop in plain Python": score_with_lists,
    "a loop with NumPy in each turn": score_with_arrays,
}


def measure(smooth: bool) -> dict[str, float]:
    """Return the median seconds of each way for all queries; the times of the loops are scaled up from their share.

    Raises:
        ValueError: when a loop has another figure for a query.
    """
    candidates, truth = draw_queries(np.random.default_rng(0), smooth=smooth)
    rows = np.arange(0, NUM_QUERIES, NUM_QUERIES // LOOP_QUERIES)
    part, part_truth = candidates.take(rows), PaddedSpans(truth.spans[rows], truth.mask[rows])
    times: dict[str, list[float]] = {"this project": [], **{name: [] for name in LOOPS}}
    for _ in range(ROUNDS):
        ours, elapsed_s = time_call(score_at_once, candidates, truth)
        times["this project"].append(elapsed_s)
        for name, loop in LOOPS.items():
            figures, elapsed_s = time_call(loop, part, part_truth)
            times[name].append(elapsed_s * NUM_QUERIES / len(rows))
            require_equal(ours, figures, rows, name)
    return {name: statistics.median(values) for name, values in times.items()}


def time_call(score: Callable[..., Figures], *arguments: Any) -> tuple[Figures, float]:
    """Return the result of a call, and its wall seconds."""
    start_s = time.perf_counter()
    figures = score(*arguments)
    return figures, time.perf_counter() - start_s


def require_equal(ours: Figures, figures: Figures, rows: Any, name: str) -> None:
    """Require that a loop has the same figures.

    Raises:
        ValueError: when it has another figure for a query.
    """
    for key, values in figures.items():
        if not np.allclose(ours[key][rows], values, atol=1e-12):
            raise ValueError(f"{name} has other values of {key} for {int((ours[key][rows] != values).sum())} queries")


def measure_memory() -> int:
    """Return the peak bytes of a process that only draws the queries and scores them."""
    done = subprocess.run([sys.executable, __file__, "--memory"], check=True, capture_output=True, text=True)
    return int(done.stdout)


def build_page() -> str:
    """Return the table with its limits."""
    commit = subprocess.run(["git", "rev-parse", "--short=7", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    memory = f"{measure_memory() / (1 << 20):.0f} MiB"  # before this process grows: a child's peak starts at its parent's size
    machine = f"{os.cpu_count()} cores, Python {platform.python_version()}, NumPy {np.__version__}"
    lines = [
        "# Scoring a whole test split",
        "",
        f"`python tests/benchmarks/scoring.py --page`, at {commit}.",
        "",
        f"{NUM_QUERIES:,} queries with 1,104 candidates each: suppression, R@{{1, 5}} at three thresholds, mIoU.",
        f"Double precision; medians of {ROUNDS} turns; {machine}.",
        f"The times of the loops are scaled up from {LOOP_QUERIES:,} queries; all figures agree.",
        "",
        "| scores | way | s | times this project |",
        "|---|---|---|---|",
    ]
    for label, smooth in (("independent", False), ("rising towards the true moment", True)):
        seconds = measure(smooth)
        for name, value in seconds.items():
            lines.append(f"| {label} | {name} | {value:.2f} | {value / seconds['this project']:.0f} |")
    lines += [
        "",
        f"Limits: {LIMIT_RATIO} times faster than the loop in plain Python, and {LIMIT_BYTES >> 20} MiB.",
        f"A process that draws these queries and scores them peaks at {memory}; the candidates alone are 448 MiB.",
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    """Print or write the page, or measure the memory."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--page", action="store_true", help=f"write {PAGE.name} instead of printing it")
    parser.add_argument("--memory", action="store_true", help="only score once, and print the peak bytes of this process")
    options = parser.parse_args()
    if options.memory:
        score_at_once(*draw_queries(np.random.default_rng(0), smooth=False))
        print(read_status("VmHWM"))
    elif options.page:
        PAGE.write_text(build_page(), encoding="utf-8")
    else:
        print(build_page())


if __name__ == "__main__":
    main()
