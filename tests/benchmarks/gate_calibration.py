"""Calibration of the promotion gate: python tests/benchmarks/gate_calibration.py record DATA CHECKPOINT CHECKPOINT
or python tests/benchmarks/gate_calibration.py page.

`record` lets two checkpoints of one localizer that differ in `train.seed` answer the split `gate` of DATA, the folder data/ of a
checkout, and writes the figures of every query to gate_calibration.jsonl. `page` writes gate_calibration.md from them:
how many challengers without a gain the gate promotes, the smallest gain that it promotes in 80 % of resamples, and the number
of videos that a gain of 3 points needs. A challenger without a gain is made by swapping all results of a video between the seeds
at random. A true gain turns misses of such a challenger into hits at random.
"""

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml

from corpus.files import read_jsonl, write_jsonl
from corpus.moments import Floats, Ints
from evaluation.gate.comparison import Pair, bound_gain
from evaluation.gate.decision import COLLECTION, decide
from evaluation.gate.evidence import Evidence, Frozen, Side
from evaluation.gate.params import GateParams
from evaluation.tables.slices import Slice
from pipeline.executors.machine import describe_machine

ROOT = Path(__file__).resolve().parents[2]
RECORDS, PAGE = Path(__file__).with_suffix(".jsonl"), Path(__file__).with_suffix(".md")
FIGURES = ("R1_iou0.5", "R1_iou0.7", "mIoU")
SAMPLES, NULLS, TRIALS, ALLOWED, POWER, WANTED_GAIN = 1000, 200, 200, 16, 0.8, 0.03
GAINS = tuple(step / 200 for step in range(1, 31))  # 0.5 to 15 points
SIZES = (50, 75, 100, 150, 200, 250, 300, 400, 500, 600, 800, 1000, 1500)
SEED = 2026


@dataclass(frozen=True)
class Seeds:
    """The results of two seeds on the same Q queries: figures (2, Q), the video of each query, and slices."""

    figures: dict[str, Floats]  # (2, Q)
    videos: Ints  # (Q,)
    slices: tuple[Slice, ...]

    def draw_null(self, rng: np.random.Generator) -> "Seeds":
        """Swap all results of a video between the seeds, with probability 1/2 each."""
        swapped = (rng.random(self.videos.max() + 1) < 0.5)[self.videos]  # (Q,)
        figures = {name: np.where(swapped, values[::-1], values) for name, values in self.figures.items()}
        return replace(self, figures=figures)


def load_seeds(rows: Sequence[dict[str, Any]]) -> Seeds:
    """Read the records of `record`."""
    _, videos = np.unique([row["video_id"] for row in rows], return_inverse=True)
    figures = {name: np.array([row[name] for row in rows]).T for name in FIGURES}
    names = sorted({(group, value) for row in rows for group, value in row["slices"].items()})
    slices = [Slice(group, value, np.array([row["slices"].get(group) == value for row in rows])) for group, value in names]
    return Seeds(figures, videos, tuple(slices))


def load_rules() -> GateParams:
    """Return the default rules with fewer bootstrap samples, without guards of the collection, which need two retrievers."""
    params = GateParams.model_validate(yaml.safe_load((ROOT / "presets/gate/default.yaml").read_text(encoding="utf-8")))
    guards = tuple(one for one in params.guards if not one.metric.startswith(COLLECTION))
    return params.model_copy(update={"guards": guards, "samples": SAMPLES})


def count_null_promotions(seeds: Seeds, rules: GateParams, *, count: int, seed: int) -> dict[str, int]:
    """Return how many challengers without a gain pass the gain, are stopped by a guard all the same, and are promoted."""
    rng = np.random.default_rng(seed)
    qids = tuple(map(str, range(len(seeds.videos))))
    queries = Frozen(qids, seeds.videos, seeds.slices, np.zeros(0, dtype=np.int64), "")
    counts = {"gain": 0, "guards": 0, "promoted": 0}
    for _ in range(count):
        null = seeds.draw_null(rng)
        sides = [Side(name, {key: values[row] for key, values in null.figures.items()}, 1.0, 1) for row, name in enumerate("ab")]
        decision = decide(Evidence(queries, sides[0], sides[1], True, "sealed"), rules)
        counts["gain"] += decision.gain is not None and decision.gain.low > 0
        counts["guards"] += any(check.rule == "guards" and not check.passed for check in decision.checks)
        counts["promoted"] += decision.promoted
    return counts


class Trial(NamedTuple):
    """The settings of the simulation of a true gain."""

    gain: float
    num_videos: int
    count: int


def estimate_power(seeds: Seeds, rules: GateParams, trial: Trial, *, seed: int) -> float:
    """Return the share of resamples with a true gain whose bound is above 0, by the main metric alone."""
    rng = np.random.default_rng(seed)
    rows_of = [np.flatnonzero(seeds.videos == video) for video in range(int(seeds.videos.max()) + 1)]
    passed = 0
    for number in range(trial.count):
        pair = draw_pair(seeds.figures[rules.metric], rows_of, trial, rng)
        found = bound_gain(pair, confidence=rules.confidence, num_samples=SAMPLES, seed=number)
        passed += found.low > 0
    return passed / trial.count


def draw_pair(figures: Floats, rows_of: Sequence[Ints], trial: Trial, rng: np.random.Generator) -> Pair:
    """Draw videos with replacement, swap the seeds in each with probability 1/2, and add the gain.

    The challenger gains `trial.gain` on average: as many of its misses become hits. `figures` (2, Q) are those of the seeds.
    """
    missed = float((figures < 1).mean())
    if trial.gain > missed:
        raise ValueError(f"a gain of {trial.gain} is above the share of misses {missed:.3f}")
    drawn = rng.integers(len(rows_of), size=trial.num_videos)
    rows = np.concatenate([rows_of[video] for video in drawn])
    videos = np.repeat(np.arange(trial.num_videos), [len(rows_of[video]) for video in drawn])
    swapped = (rng.random(trial.num_videos) < 0.5)[videos]
    ours, theirs = np.where(swapped, figures[::-1, rows], figures[:, rows])
    better = np.where((ours < 1) & (rng.random(len(ours)) < trial.gain / missed), 1.0, ours)
    return Pair("gain", better, theirs, videos)


class Found(NamedTuple):
    """The smallest value with the wanted power, None if no value has it, and the power of every value that was tried."""

    smallest: float | None
    tried: list[tuple[float, float]]


def find_smallest(values: Sequence[float], measure: Callable[[float], float]) -> Found:
    """Find by bisection the smallest of ascending values with the wanted power, which grows with the value."""
    tried: dict[float, float] = {}
    low, high = 0, len(values)
    while low < high:
        middle = (low + high) // 2
        tried[values[middle]] = measure(values[middle])
        low, high = (low, middle) if tried[values[middle]] >= POWER else (middle + 1, high)
    return Found(values[low] if low < len(values) else None, sorted(tried.items()))


def describe(rows: Sequence[dict[str, Any]]) -> str:
    """Return the page."""
    about, seeds, rules = rows[0], load_seeds(rows[1:]), load_rules()
    num_videos, main = int(seeds.videos.max()) + 1, seeds.figures[rules.metric]
    nulls = count_null_promotions(seeds, rules, count=NULLS, seed=SEED)
    gains = find_smallest(GAINS, lambda gain: estimate_power(seeds, rules, Trial(gain, num_videos, TRIALS), seed=SEED))
    sizes = find_smallest(SIZES, lambda size: estimate_power(seeds, rules, Trial(WANTED_GAIN, int(size), TRIALS), seed=SEED))
    disagreed = float((main[0] != main[1]).mean())
    lines = [
        "# Calibration of the promotion gate",
        "",
        f"`python tests/benchmarks/gate_calibration.py page`, on {len(seeds.videos)} queries of {num_videos} videos.",
        f"{about['what']}. Recorded at {about['commit']}, {about['machine']}.",
        "",
        f"{rules.metric} of the two seeds: {100 * main[0].mean():.1f} % and {100 * main[1].mean():.1f} %. They disagree on",
        f"{100 * disagreed:.1f} % of the queries. The gate judged {len(seeds.slices)} slices beside the whole split, with",
        f"{SAMPLES} bootstrap samples. Guards of the collection are left out.",
        "",
        "| question | answer |",
        "| --- | --- |",
        f"| promoted of {NULLS} challengers without a gain (at most {ALLOWED}) | **{nulls['promoted']}** |",
        f"| of them with a bound above 0 / with a harmed guard | {nulls['gain']} / {nulls['guards']} |",
        f"| smallest true gain promoted in {100 * POWER:.0f} % of {TRIALS} resamples | {_show(gains.smallest, 100, 'points')} |",
        f"| videos that a gain of {100 * WANTED_GAIN:.0f} points needs | {_show(sizes.smallest, 1, 'videos')} |",
        "",
        "| true gain, points | promoted |",
        "| --- | --- |",
        *(f"| {100 * value:.1f} | {100 * power:.0f} % |" for value, power in gains.tried),
        "",
        f"| videos, with a gain of {100 * WANTED_GAIN:.0f} points | promoted |",
        "| --- | --- |",
        *(f"| {value} | {100 * power:.0f} % |" for value, power in sizes.tried),
        "",
    ]
    return "\n".join(lines)


def _show(value: float | None, factor: float, unit: str) -> str:
    return f"more than was tried ({unit})" if value is None else f"**{factor * value:g} {unit}**"


def record(data: Path, checkpoints: Sequence[Path], *, what: str, commit: str) -> list[dict[str, Any]]:
    """Return a description and one row per query: the figures of both checkpoints on the split `gate`."""
    import torch

    from corpus.records import load_corpus
    from corpus.store import FeatureStore
    from corpus.windows import WindowRule
    from evaluation.examiner import ANSWERS_KEPT, IOU_RULE
    from evaluation.gate.answering import freeze
    from evaluation.predictions import list_durations, rank_moments
    from models.artefacts.checkpoint import load_localizer
    from models.artefacts.encoder_files import load_encoders
    from models.contracts.inputs import encode_queries
    from models.contracts.windows import cut_stored_videos
    from models.metrics.tan2d import Tan2dConvention

    questions, queries = freeze(load_corpus(data / "corpus"), load_rules())
    encoders, store = load_encoders(data / "encoder"), FeatureStore(data / "features")
    text = encode_queries(encoders.text, encoders.tokenizer, [query.text for query in questions.queries])
    convention = Tan2dConvention(iou_rule=IOU_RULE, max_iou=0.5, max_kept=ANSWERS_KEPT)
    found = []
    for folder in checkpoints:
        localizer, config = load_localizer(folder)
        rule = WindowRule(config.longest_s)
        videos = cut_stored_videos(store, localizer.streams, list_durations(questions), localizer.num_cells, rule)
        with torch.no_grad():
            answers = rank_moments(localizer, questions, text, videos, convention)
        found.append(convention.compute_figures(answers.widen(), questions.truth))
    groups = {guard.slices for guard in load_rules().guards if guard.slices}
    rows: list[dict[str, Any]] = [{"what": what, "commit": commit, "machine": describe_machine()}]
    for row, query in enumerate(questions.queries):
        slices = {one.group: one.value for one in queries.slices if one.group in groups and one.rows[row]}
        figures = {name: [round(float(one[name][row]), 6) for one in found] for name in FIGURES}
        rows.append({"qid": query.qid, "video_id": query.video_id, "slices": slices} | figures)
    return rows


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    recording = commands.add_parser("record")
    recording.add_argument("data", type=Path)
    recording.add_argument("checkpoints", type=Path, nargs=2)
    recording.add_argument("--what", required=True, help="sentence that says what the two checkpoints are")
    recording.add_argument("--commit", required=True)
    commands.add_parser("page")
    options = parser.parse_args()
    if options.command == "record":
        write_jsonl(RECORDS, record(options.data, options.checkpoints, what=options.what, commit=options.commit))
    else:
        PAGE.write_text(describe([row for _, row in read_jsonl(RECORDS)]), encoding="utf-8")
        print(json.dumps({"page": str(PAGE)}))


if __name__ == "__main__":
    main()
