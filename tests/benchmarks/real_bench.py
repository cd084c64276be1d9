"""Scores the search of real videos by sentences that a person wrote: python tests/benchmarks/real_bench.py FOLDER [--page].

FOLDER holds videos/ and annotations.jsonl: one JSON object a line with video, query, start_s and end_s (null if the sentence
describes the whole clip), kind and author. Every sentence searches all videos. A video counts as right when the sentence was
written for it; intervals come from resampling videos. `--page` writes tests/benchmarks/real_bench.md.
"""

import argparse
import os
import platform
import resource
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from figures_page import replace_figures

from corpus.files import read_jsonl
from corpus.moments import compute_iou
from models.metrics.intervals import Estimate, estimate_means
from search.answers import SearchQuery
from search.contracts import Predictor
from search.indexing.folder_index import index_folder
from search.kinds import load_predictor

PAGE = Path(__file__).with_suffix(".md")
NUM_SAMPLES, SEED = 10_000, 2026
KEPT = "## What the figures say"
GROUNDING_LIMITS = (0.4, 0.6)


class Sentence(NamedTuple):
    """A sentence with its video and the ranks and overlaps of a search."""

    video: str
    author: str
    kind: str
    rank: int  # of that video, from 1
    iou: float  # of the best moment in that video with the true moment; NaN if the sentence has no time
    floor: float  # the same of the whole video
    grounding: float


class Cost(NamedTuple):
    """Cost of indexing and searching."""

    minutes: float  # of video
    cpu_s: float  # to index
    wall_s: float
    index_mb: float
    query_ms: float  # median, warm


def index(videos: Path, bundle_dir: Path, output_dir: Path) -> tuple[Predictor, float, float]:
    """Index a folder in one worker process; return the predictor, and the CPU and wall time that it took."""
    before, start_s = _read_cpu_s(), time.perf_counter()
    report = index_folder(videos, bundle_dir=bundle_dir, output_dir=output_dir, num_workers=1)
    cpu_s, wall_s = _read_cpu_s() - before, time.perf_counter() - start_s
    if report.left_out:
        print(f"left out: {report.left_out}")
    return load_predictor(bundle_dir, output_dir, num_threads=1), cpu_s, wall_s


def _read_cpu_s() -> float:
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def ask(predictor: Predictor, row: Mapping[str, Any]) -> Sentence:
    """Search all videos for a sentence, and place it in its own."""
    (answer,) = predictor.search(SearchQuery(row["query"], len(predictor.collection.videos), min_confidence=0))
    videos = list(dict.fromkeys(moment.video_id for moment in answer.moments))
    iou = floor = float("nan")
    if row["start_s"] is not None:
        best = predictor.localize(row["query"], row["video"], 1).moments[0]
        true = np.array([[row["start_s"], row["end_s"]]])
        whole = np.array([[0.0, predictor.collection.find_video(row["video"]).duration_s]])
        iou = float(compute_iou(np.array([[best.start_s, best.end_s]]), true)[0, 0])
        floor = float(compute_iou(whole, true)[0, 0])
    grounding = answer.basis.grounding if answer.basis else float("nan")
    return Sentence(row["video"], row["author"], row["kind"], 1 + videos.index(row["video"]), iou, floor, grounding)


def summarize(sentences: Sequence[Sentence]) -> dict[str, Estimate]:
    """Return recall and mean IoU with their intervals."""
    numbers = {video: number for number, video in enumerate(sorted({one.video for one in sentences}))}
    figures = {
        "R@1": np.array([float(one.rank <= 1) for one in sentences]),
        "R@5": np.array([float(one.rank <= 5) for one in sentences]),
        "IoU": np.array([one.iou for one in sentences]),
        "floor": np.array([one.floor for one in sentences]),
    }
    return estimate_means(figures, np.array([numbers[one.video] for one in sentences]), num_samples=NUM_SAMPLES, seed=SEED)


def measure_query_ms(predictor: Predictor, queries: Sequence[str]) -> float:
    """Return the median time of a search in milliseconds."""
    times_s = []
    for query in queries:
        start_s = time.perf_counter()
        predictor.search(SearchQuery(query, 5))
        times_s.append(time.perf_counter() - start_s)
    return 1000 * float(np.median(times_s))


def render(predictor: Predictor, sentences: Sequence[Sentence], cost: Cost) -> list[str]:
    """Return the lines of the page."""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
    num_videos = len(predictor.collection.videos)
    return [
        "# Real videos, sentences by people",
        "",
        f"`python tests/benchmarks/real_bench.py FOLDER --page`, at {commit}. Model: {predictor.bundle.model}.",
        "",
        f"Every sentence searches all {num_videos} clips ({cost.minutes:.1f} minutes). Brackets are 95 % intervals by resampling",
        f"videos. Chance: R@1 {100 / num_videos:.1f}, R@5 {500 / num_videos:.1f}. Figures are percent, but for the median rank.",
        "",
        *_render_table(sentences),
        "",
        "Mean IoU is of the best moment inside the right video, over the sentences that have a time; *whole* answers with the",
        "whole video. Grounding is the similarity of the nearest class name to the sentence.",
        "",
        "## Cost",
        "",
        f"{os.cpu_count()} cores ({_name_processor()}), Python {platform.python_version()}, one worker, one thread a network;",
        f"load average {os.getloadavg()[0]:.1f} when it ended.",
        "",
        "| CPU s a minute of video | wall s a minute | index, MB a minute | a search, ms |",
        "|---|---|---|---|",
        f"| {cost.cpu_s / cost.minutes:.1f} | {cost.wall_s / cost.minutes:.1f} | {cost.index_mb / cost.minutes:.2f} "
        f"| {cost.query_ms:.0f} |",
    ]


def _render_table(sentences: Sequence[Sentence]) -> list[str]:
    rows = ["| sentences | number | R@1 | R@5 | median rank | mean IoU | whole |", "|---|---|---|---|---|---|---|"]
    for author, _ in Counter(one.author for one in sentences).most_common():
        own = [one for one in sentences if one.author == author]
        rows.append(_render_row(f"**{author}**", own))
        if author == sentences[0].author:
            kinds = Counter(one.kind for one in own).most_common()
            rows += [_render_row(f"{author}: {kind}", [one for one in own if one.kind == kind]) for kind, _ in kinds]
            low, high = GROUNDING_LIMITS
            groups = {
                f"grounding < {low}": [one for one in own if one.grounding < low],
                f"grounding {low} to {high}": [one for one in own if low <= one.grounding < high],
                f"grounding >= {high}": [one for one in own if one.grounding >= high],
            }
            rows += [_render_row(f"{author}: {name}", group) for name, group in groups.items() if group]
    return rows


def _render_row(name: str, sentences: Sequence[Sentence]) -> str:
    found = summarize(sentences)
    rank = float(np.median([one.rank for one in sentences]))
    cells = [f"{rank:g}", *(_percent(found[key]) for key in ("IoU", "floor"))]
    return " | ".join([f"| {name}", str(len(sentences)), _percent(found["R@1"]), _percent(found["R@5"]), *cells]) + " |"


def _percent(estimate: Estimate) -> str:
    if np.isnan(estimate.value):
        return "-"
    bounds = "" if estimate.low is None or estimate.high is None else f" [{100 * estimate.low:.0f}, {100 * estimate.high:.0f}]"
    return f"{100 * estimate.value:.1f}{bounds}"


def _name_processor() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def run(folder: Path, bundle_dir: Path) -> tuple[Predictor, list[Sentence], Cost]:
    """Index the videos of a folder and ask every sentence."""
    rows = [row for _, row in read_jsonl(folder / "annotations.jsonl")]
    with tempfile.TemporaryDirectory() as output:
        predictor, cpu_s, wall_s = index(folder / "videos", bundle_dir, Path(output) / "index")
        size = sum(path.stat().st_size for path in (Path(output) / "index").glob("files-*/*"))
        sentences = [ask(predictor, row) for row in rows]
        query_ms = measure_query_ms(predictor, [row["query"] for row in rows])
    minutes = sum(video.duration_s for video in predictor.collection.videos.values()) / 60
    return predictor, sentences, Cost(minutes, cpu_s, wall_s, size / 1e6, query_ms)


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--bundle", type=Path, default=Path("data/models/real"))
    parser.add_argument("--page", action="store_true", help="write the page beside this file")
    options = parser.parse_args()
    lines = render(*run(options.folder, options.bundle))
    print("\n".join(lines))
    if options.page:
        replace_figures(PAGE, lines, kept=KEPT)


if __name__ == "__main__":
    main()
