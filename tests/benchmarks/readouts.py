"""Training-free readouts of the similarity curve beside the trained localizer: python tests/benchmarks/readouts.py DATA [--page].

DATA is the folder data/ of a checkout in which the default pipeline has run on the drawn corpus: corpus/, encoder/, features/ and
checkpoints/. Each readout is tuned on the validation split as stage `train` does, and all are scored on the test split as stage
`evaluate` does. Intervals draw whole videos; differences are paired on the same sentences.
"""

import argparse
import platform
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from figures_page import replace_figures
from results_page import format_table, percent

from corpus.moments import Floats
from corpus.records import load_corpus
from corpus.store import FeatureStore
from evaluation.examiner import EvaluationPlan
from evaluation.predictions import predict_moments
from evaluation.questions import Questions
from evaluation.tables.scores import HEADLINE
from flows.bench.scoring import Examination, score_retriever
from models.artefacts.checkpoint import load_localizer, load_retriever
from models.artefacts.encoder_files import load_encoders
from models.contracts.roles import Localizer
from models.metrics.convention import Figures
from models.metrics.intervals import Comparison, compare_means, estimate_means, estimate_median
from models.metrics.spans import Bools, RankedSpans, compute_best_iou
from models.metrics.tan2d import MEAN_IOU
from pipeline.executors.machine import prepare_torch
from pipeline.params import load_params
from pipeline.training.inputs import TrainInputs, measure_dims
from pipeline.training.roles import load_plan
from pipeline.training.tuning import tune

PAGE = Path(__file__).with_suffix(".md")
BASELINE, TRAINED = "readout_threshold_merge", "trained"
NAMES = ("threshold_merge", "shots", "window_contrast", "watershed", "max_subarray", "peak_width")
READOUTS = tuple(f"readout_{name}" for name in NAMES)
SHORT_S, THRESHOLD = 3.0, 0.5
SAMPLES, SEED = 1000, 2026
R70, R5, ANY = "R1_iou0.7", "R5_iou0.5", "any"  # of the five best, of all answers


class Outcome(NamedTuple):
    """Answers of a localizer on the test split, and the choice of its values."""

    name: str
    figures: Figures
    edge_errors_s: Floats  # (Q, 2) of the first answer
    values: Mapping[str, Any]
    validation: float | None  # mean IoU of the chosen values
    num_combinations: int
    tuning_s: float  # CPU time


def examine(name: str, localizer: Localizer, exam: Examination) -> tuple[Figures, Floats]:
    """Return the figures of each query, and the errors of both edges of its first answer in seconds, (Q, 2)."""
    scoring, questions = exam.build_scoring(localizer.num_cells), exam.questions
    candidates = predict_moments(localizer, questions, exam.text, exam.open_windows(localizer))
    answers = scoring.convention.rank(candidates).widen()
    figures = scoring.convention.compute_figures(answers, questions.truth)
    errors_s = np.abs(answers.spans[:, 0] - questions.truth.spans[:, 0])
    return {**figures, ANY: find_any(candidates.widen(), questions)}, errors_s


def find_any(candidates: RankedSpans, questions: Questions) -> Floats:
    """Return 1.0 for each query that has a right moment among all its answers, (Q,)."""
    best = np.where(candidates.valid, compute_best_iou(candidates.spans, questions.truth), 0.0).max(axis=1)
    return (best > THRESHOLD).astype(np.float64)


def measure_readout(preset: str, inputs: TrainInputs, exam: Examination) -> Outcome:
    """Tune a readout on validation and score it."""
    plan = load_plan("localizer", preset, SEED)
    started_s = time.process_time()
    component, result, _ = tune(plan, inputs)
    spent_s = time.process_time() - started_s
    model = component.build(measure_dims(inputs, component.streams)).eval()
    values = {key: getattr(component, key) for key in plan.chosen.tuning}
    figures, errors_s = examine(preset, model, exam)
    return Outcome(preset, figures, errors_s, values, result.best["val/mIoU"], len(result.curve), spent_s)


def measure_trained(data: Path, exam: Examination) -> Outcome:
    """Score the localizer of the checkpoints."""
    model, config = load_localizer(data / "checkpoints" / "localizer")
    figures, errors_s = examine(TRAINED, model, exam)
    return Outcome(f"{config.component['name']}, trained", figures, errors_s, {}, None, 0, 0.0)


def compare(left: Outcome, right: Outcome, videos: Any, rows: Bools | None = None) -> Comparison:
    """Return R@1 of right less left, on all queries or some."""
    chosen = np.ones(len(videos), dtype=bool) if rows is None else rows
    sides = [{HEADLINE: one.figures[HEADLINE][chosen]} for one in (left, right)]
    return compare_means(sides[0], sides[1], videos[chosen], num_samples=SAMPLES, seed=SEED)[HEADLINE]


def describe_difference(one: Comparison) -> str:
    """Return a difference in points with its interval."""
    bounds = "" if one.low is None or one.high is None else f" [{100 * one.low:+.1f}, {100 * one.high:+.1f}]"
    return f"{100 * one.difference:+.1f}{bounds}"


def list_main(outcomes: Sequence[Outcome], questions: Questions) -> str:
    """Return the table of all localizers."""
    videos, rows = questions.video_index, []
    for one in outcomes:
        estimate = estimate_means({HEADLINE: one.figures[HEADLINE]}, videos, num_samples=SAMPLES, seed=SEED)[HEADLINE]
        rows.append(
            [label(one.name), f"{percent(estimate.value)} [{percent(estimate.low)}, {percent(estimate.high)}]"]
            + ["" if one is outcomes[0] else describe_difference(compare(outcomes[0], one, videos))]
            + ["" if one is outcomes[-1] else describe_difference(compare(outcomes[-1], one, videos))]
            + [percent(float(one.figures[name].mean())) for name in (R70, R5, ANY, MEAN_IOU)]
        )
    titles = [
        "localizer",
        "R@1",
        f"against {label(BASELINE)}",
        "against the trained",
        "R@1, IoU > 0.7",
        "R@5",
        "among all answers",
        "mean IoU",
    ]
    return format_table(titles, rows)


def list_lengths(outcomes: Sequence[Outcome], questions: Questions) -> str:
    """Return R@1 of short and long moments, and the errors of edges."""
    lengths_s = questions.truth.spans[:, 0, 1] - questions.truth.spans[:, 0, 0]
    groups = {f"shorter than {SHORT_S:g} s": lengths_s < SHORT_S, f"{SHORT_S:g} s and longer": lengths_s >= SHORT_S}
    rows = []
    for one in outcomes:
        cells = [percent(float(one.figures[HEADLINE][chosen].mean())) for chosen in groups.values()]
        rows.append([label(one.name), *cells, *describe_errors(one, questions)])
    titles = [f"{name} ({int(chosen.sum())})" for name, chosen in groups.items()]
    return format_table(["localizer", *titles, "median error of an edge, s", "of right answers, s"], rows)


def describe_errors(one: Outcome, questions: Questions) -> list[str]:
    """Return the median error of an edge, over all first answers and over the right ones, with intervals."""
    cells = []
    for chosen in (np.ones(len(questions), dtype=bool), one.figures[HEADLINE] > 0):
        errors_s, videos = one.edge_errors_s[chosen].ravel(), np.repeat(questions.video_index[chosen], 2)
        found = estimate_median(errors_s, videos, num_samples=SAMPLES, seed=SEED)
        cells.append(f"{found.value:.2f} [{found.low:.2f}, {found.high:.2f}]")
    return cells


def list_forms(outcomes: Sequence[Outcome], questions: Questions) -> str:
    """Return R@1 by form of the sentence."""
    forms = np.array([query.tags.get("form", "") for query in questions.queries])
    names = sorted(set(forms), key=lambda form: -int((forms == form).sum()))
    rows = [
        [label(one.name), *(percent(float(one.figures[HEADLINE][forms == name].mean())) for name in names)] for one in outcomes
    ]
    return format_table(["localizer", *(f"{name} ({int((forms == name).sum())})" for name in names)], rows)


def list_retrievers(data: Path, inputs: TrainInputs, exam: Examination) -> str:
    """Return the table of searches of all videos of the split by a retriever alone."""
    component = tune(load_plan("retriever", "shared_space", SEED), inputs).component
    trained, config = load_retriever(data / "checkpoints" / "retriever")
    shared = component.build(measure_dims(inputs, component.streams)).eval()
    rows = []
    for name, model in {
        f"shared space, {component.pooling} over places": shared,
        f"{config.component['name']}, trained": trained,
    }.items():
        found = score_retriever(model, exam).others["collection"]
        rows.append([name, *(percent(float(found[figure] or 0.0)) for figure in ("R1", "R10", "right_video"))])
    return format_table(["retriever", "R@1", "R@10", "right video"], rows)


def list_values(outcomes: Sequence[Outcome]) -> str:
    """Return what validation chose."""
    rows = [
        [label(one.name), ", ".join(f"{key} = {value}" for key, value in one.values.items()), str(one.num_combinations)]
        + [percent(one.validation), f"{one.tuning_s:.0f}"]
        for one in outcomes
        if one.validation is not None
    ]
    return format_table(["localizer", "chosen by validation", "of combinations", "mean IoU, validation", "CPU s of tuning"], rows)


def label(name: str) -> str:
    """Return the short name of a readout."""
    return name.removeprefix("readout_").replace("_", " ") if name in READOUTS else name


def write_lines(outcomes: Sequence[Outcome], questions: Questions, retrievers: str) -> list[str]:
    """Return the page."""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
    return [
        "# Training-free readouts beside the trained localizer",
        "",
        f"`python tests/benchmarks/readouts.py DATA --page`, at {commit}, Python {platform.python_version()}.",
        "",
        f"{len(questions)} sentences about {questions.num_asked_videos} videos of the test split of `shapes`; R@1 at",
        f"IoU > {THRESHOLD} in percent. All read the features of the default encoder; the readouts read nothing but its",
        "similarity of sentence and clip, and the validation split chose their values. Brackets are 95 % intervals over videos,",
        "paired for differences. *Among all answers*: a right moment is among the answers, at whatever rank.",
        "",
        list_main(outcomes, questions),
        "",
        "## By length of the moment, and edges",
        "",
        list_lengths(outcomes, questions),
        "",
        "## By form of the sentence",
        "",
        list_forms(outcomes, questions),
        "",
        "## Search of the collection by the retriever alone",
        "",
        retrievers,
        "",
        "## Values",
        "",
        list_values(outcomes),
    ]


def main() -> None:
    """Measure, print, and write the page with --page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with corpus/, encoder/, features/ and checkpoints/")
    parser.add_argument("--page", action="store_true", help=f"write {PAGE.name}, above its conclusions")
    options = parser.parse_args()
    prepare_torch(1)
    data, params = options.data, load_params()
    inputs = TrainInputs(load_corpus(data / "corpus"), FeatureStore(data / "features"), load_encoders(data / "encoder"))
    exam = Examination(inputs, EvaluationPlan(search=params.search, **params.evaluate.model_dump()))
    outcomes = [*(measure_readout(preset, inputs, exam) for preset in READOUTS), measure_trained(data, exam)]
    lines = write_lines(outcomes, exam.questions, list_retrievers(data, inputs, exam))
    print("\n".join(lines))
    if options.page:
        replace_figures(PAGE, lines, kept="## What bounds")


if __name__ == "__main__":
    main()
