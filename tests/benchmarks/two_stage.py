"""Answers lost and time saved by the first stage of the search: python tests/benchmarks/two_stage.py DATA [--page].

DATA holds bundle/ and index/ of the drawn corpus. Each sentence of the test split searches all videos of the index.
Every window is localized once for each sentence; a search with fewer survivors ranks a part of the windows. Its answers are
compared with those over all windows, and with every true moment of the collection, which the plan of the corpus lists. Times
are of whole searches, measured in turns, also as CPU time, which is the same on a busy machine.
"""

import argparse
import os
import platform
import statistics
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from figures_page import replace_figures
from tqdm import tqdm

from corpus.moments import RankedMoment, compute_iou
from corpus.schema_files import load_yaml, validate
from corpus.shapes.annotations import Library, _annotate_scene
from corpus.shapes.params import ShapesParams
from corpus.shapes.scenes import draw_scenes
from pipeline.components.presets import preset_path
from pipeline.params import load_params
from search.answers import SearchQuery
from search.bundle import Bundle
from search.params import SearchParams
from search.predictor import MomentPredictor
from search.recall_monitor import compute_recall

PAGE = Path(__file__).with_suffix(".md")
SURVIVORS = (1, 2, 5, 10, 15, 20, 25, 30, 40, 60, 100, 200)
RANK, THRESHOLD = 10, 0.5
TARGET_SPEEDUP, TARGET_RECALL = 20, 0.98

Truth = Mapping[str, Sequence[Sequence[float]]]  # video -> [start_s, end_s] of every true moment of a sentence


class Question(NamedTuple):
    """A sentence with all its moments in the collection."""

    text: str
    truth: Truth


class Point(NamedTuple):
    """Recall and times for one number of survivors."""

    recall_1: float  # of the right moment
    recall_10: float
    agreement: float  # share of the ten best moments of all windows that are among the ten best of the search
    cpu_ms: float
    wall_ms: float
    wall_most_ms: float


def list_questions(video_ids: Sequence[str], count: int) -> list[Question]:
    """Return evenly chosen sentences of the test split, with their moments in the given videos."""
    params = load_params().render
    path = preset_path("render", params.size)
    size: ShapesParams = validate(ShapesParams, load_yaml(path), source=path)
    scenes = [scene for scene in tqdm(draw_scenes(size, seed=params.seed), desc="plan") if scene.video_id in set(video_ids)]
    library = Library(scenes)
    of_split = [scene for scene in scenes if scene.split == "test"]
    rows = [row for number, scene in enumerate(of_split) for row in _annotate_scene(scene, number, library, size, params.seed)]
    chosen = np.linspace(0, len(rows) - 1, min(count, len(rows))).round().astype(int)
    return [Question(rows[i]["query"], {rows[i]["vid"]: rows[i]["relevant_windows"], **rows[i]["elsewhere"]}) for i in chosen]


def answer_all(everything: MomentPredictor, text: str, counts: Sequence[int]) -> dict[int, list[RankedMoment]]:
    """Return the answers for each number of survivors, from one search with all; every video is one window."""
    kept = everything.bundle.manifest.search.moments_per_video
    ranking = everything.rank_survivors(text, top_k=kept * counts[-1])
    order = [window.video_id for window in ranking.windows]
    survivors = {count: set(order[:count]) for count in counts}
    return {count: [moment for moment in ranking.moments if moment.video_id in survivors[count]][:RANK] for count in counts}


def find_rank(answers: Sequence[RankedMoment], truth: Truth) -> float:
    """Return the rank of the first right answer, from 1; infinity if none is right."""
    for rank, moment in enumerate(answers, start=1):
        spans = np.array(truth.get(moment.video_id, [])).reshape(-1, 2)
        if len(spans) and (compute_iou(np.array([[moment.start_s, moment.end_s]]), spans) >= THRESHOLD).any():
            return rank
    return float("inf")


def take_survivors(bundle: Bundle, survivors: int) -> Bundle:
    """Return a bundle whose searches keep `survivors` windows."""
    search: SearchParams = bundle.manifest.search.model_copy(update={"survivors": survivors})
    return replace(bundle, manifest=bundle.manifest.model_copy(update={"search": search}))


def time_searches(
    predictor: MomentPredictor, texts: Sequence[str], counts: Sequence[int]
) -> dict[int, list[tuple[float, float]]]:
    """Return CPU and wall times in ms of searches for each number of survivors, measured in turns."""
    predictors = {count: MomentPredictor(take_survivors(predictor.bundle, count), predictor.collection) for count in counts}
    for one in predictors.values():
        one.search(SearchQuery(texts[0], RANK))
    times: dict[int, list[tuple[float, float]]] = {count: [] for count in counts}
    for text in tqdm(texts, desc="time"):
        for count, one in predictors.items():
            wall_s, cpu_s = time.perf_counter(), time.process_time()
            one.search(SearchQuery(text, RANK))
            times[count].append((1e3 * (time.process_time() - cpu_s), 1e3 * (time.perf_counter() - wall_s)))
    return times


def measure(predictor: MomentPredictor, questions: Sequence[Question], counts: Sequence[int], num_timed: int) -> dict[int, Point]:
    """Return the point of every number of survivors; the last of `counts` is every window."""
    everything = MomentPredictor(take_survivors(predictor.bundle, counts[-1]), predictor.collection)
    ranks: dict[int, list[float]] = {count: [] for count in counts}
    agreement: dict[int, list[float]] = {count: [] for count in counts}
    for question in tqdm(questions, desc="localize every window"):
        answers = answer_all(everything, question.text, counts)
        for count in counts:
            ranks[count].append(find_rank(answers[count], question.truth))
            agreement[count].append(compute_recall(answers[count], answers[counts[-1]]))
    times = time_searches(predictor, [question.text for question in questions[:: max(1, len(questions) // num_timed)]], counts)
    return {
        count: Point(
            recall_1=float(np.mean(np.array(ranks[count]) <= 1)),
            recall_10=float(np.mean(np.array(ranks[count]) <= RANK)),
            agreement=float(np.mean(agreement[count])),
            cpu_ms=statistics.median(cpu for cpu, _ in times[count]),
            wall_ms=statistics.median(wall for _, wall in times[count]),
            wall_most_ms=max(wall for _, wall in times[count]),
        )
        for count in counts
    }


def write_lines(points: Mapping[int, Point], *, num_questions: int, present: int) -> list[str]:
    """Return the page."""
    last, whole = list(points.items())[-1]
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
    good = [count for count, point in points.items() if is_good(point, whole)]
    return [
        "# The two-stage search, compared with localizing every video",
        "",
        f"`python tests/benchmarks/two_stage.py DATA --page`, at {commit}.",
        "",
        f"{num_questions} sentences of the test split, searched for in the {last} videos of the drawn corpus, one window each.",
        f"A moment is right if it overlaps a true moment by {THRESHOLD} or more, anywhere in the collection. *Agreement* is the",
        "share of the ten best moments of all windows that are among the ten best of the search.",
        f"{os.cpu_count()} cores, Python {platform.python_version()}; load average {os.getloadavg()[1]:.1f} during the run:",
        "trust the CPU times and their ratio. Times are medians of searches in turns; one sentence is",
        f"{1 / num_questions:.4f} of the recall.",
        "",
        "| survivors | R@1 | R@10 | of all windows' R@10 | agreement | CPU, ms | times faster | wall p50, ms | wall most, ms |",
        "|---|---|---|---|---|---|---|---|---|",
        *(format_point("all" if count == last else str(count), point, whole) for count, point in points.items()),
        "",
        f"Target: {TARGET_SPEEDUP} times faster at {TARGET_RECALL} of the R@10 of all windows. Numbers of survivors that",
        f"reach the target: {', '.join(map(str, good)) or 'none'}. `search.survivors` of `params.yaml` is {present}.",
    ]


def is_good(point: Point, whole: Point) -> bool:
    """Tell whether a number of survivors reaches the target."""
    return point.recall_10 >= TARGET_RECALL * whole.recall_10 and whole.cpu_ms >= TARGET_SPEEDUP * point.cpu_ms


def format_point(name: str, point: Point, whole: Point) -> str:
    """Return a row of the table."""
    share, ratio = point.recall_10 / whole.recall_10, whole.cpu_ms / point.cpu_ms
    return (
        f"| {name} | {point.recall_1:.3f} | {point.recall_10:.3f} | {share:.3f} | {point.agreement:.3f} | {point.cpu_ms:.1f} "
        f"| {ratio:.1f} | {point.wall_ms:.1f} | {point.wall_most_ms:.1f} |"
    )


def main() -> None:
    """Measure, print, and write the page with --page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with bundle/ and index/")
    parser.add_argument("--questions", type=int, default=583, help="sentences to search for")
    parser.add_argument("--timed", type=int, default=60, help="number of timed sentences")
    parser.add_argument("--page", action="store_true", help=f"write {PAGE.name}, above its conclusion")
    options: Any = parser.parse_args()
    predictor = MomentPredictor.load(options.data / "bundle", options.data / "index")
    if any(len(cells.windows) > 1 for cells in predictor.collection.cells.values()):
        parser.error("a video of the collection has several windows; name the drawn corpus, whose videos have one window each")
    questions = list_questions(list(predictor.collection.videos), options.questions)
    num_windows = len(predictor.collection.videos)
    counts = [*(count for count in SURVIVORS if count < num_windows), num_windows]
    points = measure(predictor, questions, counts, options.timed)
    lines = write_lines(points, num_questions=len(questions), present=predictor.bundle.manifest.search.survivors)
    print("\n".join(lines))
    if options.page:
        replace_figures(PAGE, lines, kept="## Operating")


if __name__ == "__main__":
    main()
