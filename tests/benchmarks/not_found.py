"""Measures how well confidences separate present from absent moments, and writes the tables of docs/not_found.md.

    python tests/benchmarks/not_found.py labels NAME DATA
    python tests/benchmarks/not_found.py index NAME --bundle BUNDLE --index INDEX --sentences FILE
    python tests/benchmarks/not_found.py page

`labels` reads corpus/, features/, encoder/ and checkpoints/ of a finished run in DATA. It learns the calibration on the
validation split, and judges it and the bank of sentences on the test split. `index` searches an index through the predictor.
FILE has one JSON object a line with `query` and `video`, the id of the only video where it is true. Every sentence searches all
videos, all videos but its own, its own video, and another video. Both commands replace the line NAME of not_found.jsonl, or
append it; `page` writes the tables from these lines. Intervals come from resampling videos.
"""

import argparse
import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from figures_page import replace_figures

from corpus.files import read_jsonl
from corpus.moments import Floats, Ints, RankedMoment
from corpus.records import load_corpus
from evaluation.calibration import compute_calibration_error, compute_reliability, fit_logistic
from evaluation.predictions import encode_text, load_models
from evaluation.presence import LOCALIZE, SEARCH, Trials, collect_trials, learn_calibrations
from evaluation.questions import prepare_questions
from evaluation.searching import OpenSplit, Searched, list_videos_without, open_split, search_split
from models.metrics.intervals import draw_video_weights
from models.metrics.roc import compute_rates, compute_roc
from models.metrics.spans import Bools
from pipeline.executors.machine import count_workers, describe_machine, prepare_torch
from pipeline.params import load_params
from search.answers import Answer, FoundMoment, SearchQuery
from search.calibration import LEAST_AUC, Calibrations, squash
from search.cohort import Cohort
from search.null_calibration import THRESHOLD

RECORDS = Path(__file__).with_suffix(".jsonl")
PAGE = Path(__file__).parents[2] / "docs" / "not_found.md"
NUM_SAMPLES, SEED = 1000, 2026
KEPT = "## What limits it"
WAYS = {SEARCH: "the collection", LOCALIZE: "one video"}
TRIED_BY = "Inputs of a search beside the score and the best clip, fitted on validation and judged on test:"
INPUTS = ("next clip", "next five clips", "mean over videos", "deviation over videos", "next video", "next five videos")
TRIED = (
    (),
    ("next clip", "next video"),
    ("next five clips", "next five videos"),
    ("mean over videos", "deviation over videos"),
    INPUTS,
)


class Asked(NamedTuple):
    """Sentences asked where they are true and where they are not, in one kind of search."""

    confidences: Floats  # (Q,) in [0, 1]
    present: Bools  # (Q,)
    videos: Ints  # (Q,) the own video of each sentence
    threshold: float  # of "found"


def measure(asked: Asked) -> dict[str, Any]:
    """Return area, calibration error and rates with their 95 % intervals."""

    def compute(rows: Ints) -> list[float]:
        confidences, present = asked.confidences[rows], asked.present[rows]
        error = compute_calibration_error(compute_reliability(confidences, present))
        return [compute_roc(confidences, present).area, error, *compute_rates(confidences, present, asked.threshold)]

    samples = np.array([compute(rows) for rows in _draw_rows(asked.videos)])
    low, high = np.percentile(samples, [2.5, 97.5], axis=0)
    columns = np.round([compute(np.arange(len(asked.videos))), low, high], 4).T.tolist()
    return {"trials": len(asked.videos)} | dict(zip(("auc", "ece", "found_present", "found_absent"), columns, strict=True))


def _draw_rows(videos: Ints) -> list[Ints]:
    names, index = np.unique(videos, return_inverse=True)
    weights = draw_video_weights(len(names), num_samples=NUM_SAMPLES, seed=SEED)
    return [np.repeat(np.arange(len(index)), row[index]) for row in weights]


def measure_labels(data: Path) -> dict[str, Any]:
    """Learn on validation, judge on test: by labels and by the bank."""
    params = load_params()
    models = load_models(encoder_dir=data / "encoder", features_dir=data / "features", checkpoints_dir=data / "checkpoints")
    corpus, trials, inputs = load_corpus(data / "corpus"), {}, {}
    for split in ("val", "test"):
        questions = prepare_questions(corpus, split)
        opened = open_split(models, questions, encode_text(models, questions))
        depth = params.search.survivors * params.search.moments_per_video
        searched = search_split(models.localizer, opened, params.search, top_k=depth, others_top_k=depth)
        trials[split] = collect_trials(models, opened, searched, seed=SEED)
        inputs[split] = collect_inputs(opened, searched)
    true_in = [{query.video_id, *query.elsewhere} for query in questions.queries]
    firsts = [answers[0].video_id in known for answers, known in zip(searched.answers, true_in, strict=True)]
    learned = learn_calibrations(trials["val"], hit_rate=params.evaluate.hit_rate, split="val")
    videos = np.tile(questions.video_index, 2)
    rows = [row for way in (SEARCH, LOCALIZE) for row in judge_way(way, learned, trials["test"][way], videos)]
    tried = [try_inputs(names, inputs, trials, videos) for names in TRIED]
    group = {"videos": len(questions.videos), "right_video_first": round(float(np.mean(firsts)), 4), "rows": rows, "tried": tried}
    return group | {"calibrations": learned.model_dump(mode="json")}


def judge_way(way: str, learned: Calibrations, test: Trials, videos: Ints) -> list[dict[str, Any]]:
    """Judge one way of asking by labels and by the bank."""
    calibration, rows = learned.search if way == SEARCH else learned.localize, []
    if calibration is not None:
        confidences = calibration.scaling.apply(test.scores, test.clip_scores, test.standings)
        row = {"asked": way, "by": "labels", "auc_validation": round(calibration.auc, 4)}
        rows.append(row | measure(Asked(confidences, test.present, videos, calibration.threshold)))
    if test.unlabelled is not None:
        rows.append({"asked": way, "by": "bank"} | measure(Asked(test.unlabelled, test.present, videos, THRESHOLD)))
    return rows


def collect_inputs(split: OpenSplit, searched: Searched) -> dict[str, Floats]:
    """Return further inputs of searches, first where each query is true, then where it is not: (2Q,) each."""
    clips = Cohort.build(split.index)
    present = clips.score(split.vectors)  # (Q, V)
    without = [set(names) for names in list_videos_without(split.questions)]
    is_left = np.array([[name in names for name in clips.video_ids] for names in without])
    columns = [
        [*_describe_clips(row), *_describe_moments(moments)]
        for rows, answers in ((present, searched.answers), (np.where(is_left, present, np.nan), searched.others))
        for row, moments in zip(rows, answers, strict=True)
    ]
    return dict(zip(INPUTS, np.array(columns).T, strict=True))


def _describe_clips(scores: Floats) -> list[float]:
    """Return the next best clips of other videos, and mean and deviation, of the best clips of all videos (V,)."""
    known = np.sort(scores[~np.isnan(scores)])[::-1]
    return [float(known[1]), float(known[1:6].mean()), float(known.mean()), float(known.std())]


def _describe_moments(moments: Sequence[RankedMoment]) -> list[float]:
    """Return the scores of the next best videos."""
    best: dict[str, float] = {}
    for moment in moments:
        best.setdefault(moment.video_id, moment.score)
    scores = list(best.values())
    return [scores[1], float(np.mean(scores[1:6]))]


def try_inputs(
    names: Sequence[str], inputs: Mapping[str, Mapping[str, Floats]], trials: Mapping[str, Mapping[str, Trials]], videos: Ints
) -> dict[str, Any]:
    """Fit a search's two inputs and some further ones on validation, and judge them on test."""
    columns = {
        split: np.column_stack(
            [trials[split][SEARCH].scores, trials[split][SEARCH].clip_scores, *(inputs[split][name] for name in names)]
        )
        for split in ("val", "test")
    }
    *slopes, intercept = fit_logistic(columns["val"], trials["val"][SEARCH].present)
    val, test = (squash(columns[split] @ np.array(slopes) + intercept) for split in ("val", "test"))
    area = compute_roc(val, trials["val"][SEARCH].present).area
    judged = measure(Asked(test, trials["test"][SEARCH].present, videos, THRESHOLD))
    return {"inputs": list(names), "auc_validation": round(area, 4), "auc": judged["auc"], "ece": judged["ece"]}


def measure_index(bundle_dir: Path, index_dir: Path, sentences: Path) -> dict[str, Any]:
    """Ask an index for sentences with and without their videos, through the predictor."""
    predictor = load_predictor(bundle_dir, index_dir)
    names = list(predictor.collection.videos)
    asked = [row for _, row in read_jsonl(sentences) if row["video"] in names]
    own = np.array([names.index(row["video"]) for row in asked])
    others = [names[(video + 1 + shift % (len(names) - 1)) % len(names)] for shift, video in enumerate(own.tolist())]
    full = [_search(predictor, row["query"], None) for row in asked]
    without = [_search(predictor, row["query"], frozenset(names) - {row["video"]}) for row in asked]
    here = [predictor.localize(row["query"], row["video"], 1) for row in asked]
    elsewhere = [predictor.localize(row["query"], other, 1) for row, other in zip(asked, others, strict=True)]
    firsts = [_first(answer).video_id == row["video"] for answer, row in zip(full, asked, strict=True)]
    rows = []
    for way, answers in ((SEARCH, full + without), (LOCALIZE, here + elsewhere)):
        present = np.arange(2 * len(asked)) < len(asked)
        confidences = [_first(answer).confidence for answer in answers]
        if None in confidences:
            raise ValueError(f"{bundle_dir}: answers of {way} have no confidence; too few sentences of the bank are understood")
        row = {"asked": way, "by": "bank", "verdicts": _count(answers[: len(asked)], answers[len(asked) :])}
        rows.append(row | measure(Asked(np.array(confidences, dtype=np.float64), present, np.tile(own, 2), THRESHOLD)))
    return {"videos": len(names), "right_video_first": round(float(np.mean(firsts)), 4), "rows": rows}


def load_predictor(bundle_dir: Path, index_dir: Path) -> Any:
    """Open an index with its bundle."""
    from search.predictor import MomentPredictor

    return MomentPredictor.load(bundle_dir, index_dir)


def _search(predictor: Any, query: str, video_ids: frozenset[str] | None) -> Answer:
    answer: Answer = predictor.search(SearchQuery(query, 1, video_ids))[0]
    return answer


def _first(answer: Answer) -> FoundMoment:
    moment = answer.moments[0] if answer.moments else answer.best_guess
    assert moment is not None
    return moment


def _count(present: Sequence[Answer], absent: Sequence[Answer]) -> dict[str, dict[str, int]]:
    def count(answers: Sequence[Answer]) -> dict[str, int]:
        return {name: sum(answer.verdict == name for answer in answers) for name in ("found", "unsure", "not_found")}

    return {"present": count(present), "absent": count(absent)}


def keep(name: str, record: Mapping[str, Any]) -> None:
    """Write the record of a measurement; it replaces an earlier record of this name."""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
    line = {"name": name, "commit": commit, "machine": describe_machine(), **record}
    records = [*(one for one in _read_records() if one["name"] != name), line]
    RECORDS.write_text("".join(json.dumps(one, sort_keys=True) + "\n" for one in records), encoding="utf-8")
    print(json.dumps(line, indent=1))


def _read_records() -> list[dict[str, Any]]:
    return [record for _, record in read_jsonl(RECORDS)] if RECORDS.is_file() else []


def write_page() -> None:
    """Write the tables of the page."""
    head, _, _ = PAGE.read_text(encoding="utf-8").partition("## Measured")
    replace_figures(PAGE, [*head.rstrip("\n").splitlines(), *write_tables(_read_records())], kept=KEPT)


def write_tables(records: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the section of the measured figures."""
    made_by = "`python tests/benchmarks/not_found.py page`. Brackets are 95 % intervals by resampling videos, which adds noise to"
    lines = ["", "## Measured", "", made_by, "calibration errors: their intervals lie high."]
    for record in records:
        first = record["right_video_first"]
        lines += [
            "",
            f"### {record['name']}: {record['videos']} videos",
            "",
            f"At {record['commit']} on {record['machine']}. A right video ranks first for {100 * first:.1f} % of the",
            f"sentences, which bounds the area of a search by about {(1 + first) / 2:.2f}.",
            "",
            "| asked of | calibrated by | area under the ROC | calibration error | found where true, % | where not, % | else |",
            "|---|---|---|---|---|---|---|",
            *map(_format_row, record["rows"]),
        ]
        if "tried" in record:
            lines += ["", record.get("tried_by", TRIED_BY), ""]
            lines += ["| tried | area, fitted | area, judged | calibration error, judged |"]
            lines += ["|---|---|---|---|", *map(_format_tried, record["tried"])]
    return lines


def _format_row(row: Mapping[str, Any]) -> str:
    by = {"labels": "labels of validation", "bank": "the bank of sentences"}[row["by"]]
    known = row.get("auc_validation")
    verdict = "unsure" if known is None or known < LEAST_AUC else "not found"
    rates = (_format(row[name], "{:.1f}", 100) for name in ("found_present", "found_absent"))
    figures = [_format(row["auc"], "{:.3f}"), _format(row["ece"], "{:.3f}"), *rates]
    return f"| {WAYS[row['asked']]} | {by} | {' | '.join(figures)} | {verdict} |"


def _format_tried(row: Mapping[str, Any]) -> str:
    figures = f"{row['auc_validation']:.3f} | {_format(row['auc'], '{:.3f}')} | {_format(row['ece'], '{:.3f}')}"
    return f"| {', '.join(row['inputs']) or 'nothing'} | {figures} |"


def _format(figure: Sequence[float], form: str, scale: float = 1.0) -> str:
    value, low, high = (form.format(scale * one) for one in figure)
    return f"{value} [{low}, {high}]"


def main() -> None:
    """Measure, or write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    labels = commands.add_parser("labels", help="a finished run with labels")
    labels.add_argument("name")
    labels.add_argument("data", type=Path, help="the folder data/ of the run")
    index = commands.add_parser("index", help="an index, searched with and without the videos of sentences")
    index.add_argument("name")
    for option in ("--bundle", "--index", "--sentences"):
        index.add_argument(option, type=Path, required=True)
    commands.add_parser("page", help="write the tables of docs/not_found.md")
    options: Any = parser.parse_args()
    prepare_torch(count_workers())
    if options.command == "labels":
        keep(options.name, measure_labels(options.data))
    elif options.command == "index":
        keep(options.name, measure_index(options.bundle, options.index, options.sentences))
    else:
        write_page()


if __name__ == "__main__":
    main()
