"""Gain from a sound stream in the default localizer: the same pictures, sentences and seed, with and without sound.

    python tests/benchmarks/sound_stream.py run --data data --seed 2026   # trains and scores both; appends one record
    python tests/benchmarks/sound_stream.py page                          # tests/benchmarks/sound_stream.md

`--data` is the folder `data/` of a checkout in which `dvc exp run -S +pretrain.streams.sound=log_mel extract` has run with this
seed of `pretrain`. Every kind of event in the drawn corpus has a sound. The sound tells the kind and time of an event, but not
which shape moves.
"""

import argparse
import json
import subprocess
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy as np
from results_page import format_table, percent

from corpus.records import load_corpus
from corpus.store import FeatureStore
from evaluation.examiner import EvaluationPlan
from evaluation.predictions import rank_moments
from evaluation.tables.scores import HEADLINE
from flows.bench.scoring import Examination
from models.artefacts.checkpoint import load_localizer
from models.artefacts.encoder_files import load_encoders
from models.metrics.intervals import Comparison, compare_means
from pipeline.executors.machine import count_workers, describe_machine, prepare_torch
from pipeline.params import load_params
from pipeline.training.inputs import TrainInputs
from pipeline.training.role_training import train
from pipeline.training.roles import load_plan

ROOT = Path(__file__).resolve().parents[2]
RECORDS = Path(__file__).with_suffix(".jsonl")
PAGE = RECORDS.with_suffix(".md")
PICTURES, SOUND = "place_tan", "place_tan_sound"  # presets that differ only in their streams
SAMPLES, SEED = 1000, 2026
MIN_QUERIES = 10  # for a kind of event

Record = Mapping[str, Any]


def measure(data: Path, seed: int) -> dict[str, Any]:
    """Train both localizers on the features of a checkout and return the first answers of each."""
    prepare_torch(min(4, count_workers()))
    inputs = TrainInputs(load_corpus(data / "corpus"), FeatureStore(data / "features"), load_encoders(data / "encoder"))
    params = load_params()
    exam = Examination(inputs, EvaluationPlan(search=params.search, **params.evaluate.model_dump()))
    part = inputs.corpus.of_split(params.evaluate.split)
    return {
        "commit": read_commit(),
        "machine": describe_machine(),
        "seed": seed,
        "videos": exam.questions.video_index.tolist(),
        "kinds": [query.tags.get("kind", "") for query in part.queries],
        "hits": {preset: answer(preset, seed, inputs, exam) for preset in (PICTURES, SOUND)},
    }


def answer(preset: str, seed: int, inputs: TrainInputs, exam: Examination) -> str:
    """Train a localizer and return a digit for each query of the split: 1 if its first answer has IoU > 0.5."""
    with tempfile.TemporaryDirectory(prefix="sound-") as folder:
        out_dir = Path(folder) / "localizer"
        train(load_plan("localizer", preset, seed), inputs, out_dir=out_dir, state_dir=Path(folder) / "state")
        model, _ = load_localizer(out_dir)
    scoring = exam.build_scoring(model.num_cells)
    answers = rank_moments(model, exam.questions, exam.text, exam.open_windows(model), scoring.convention).widen()
    figures = scoring.convention.compute_figures(answers, exam.questions.truth)
    return "".join(str(int(hit)) for hit in figures[HEADLINE])


def read_commit() -> str:
    """Return the short hash of HEAD."""
    done = subprocess.run(["git", "rev-parse", "--short=7", "HEAD"], cwd=ROOT, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def load_records() -> list[Record]:
    """Return the last record of each seed."""
    lines = RECORDS.read_text(encoding="utf-8").splitlines() if RECORDS.is_file() else []
    latest = {record["seed"]: record for record in map(json.loads, lines)}
    return [latest[seed] for seed in sorted(latest)]


def compare(records: Sequence[Record], rows: Sequence[int] | None = None) -> Comparison:
    """Compare R@1 without and with sound, paired by video, averaged over seeds; `rows` selects queries."""
    chosen = list(range(len(records[0]["videos"]))) if rows is None else list(rows)
    sides = []
    for preset in (PICTURES, SOUND):
        hits = np.array([[float(digit) for digit in record["hits"][preset]] for record in records])  # (seeds, Q)
        sides.append({HEADLINE: hits.mean(axis=0)[chosen]})
    videos = np.array(records[0]["videos"], dtype=np.int64)[chosen]
    return compare_means(sides[0], sides[1], videos, num_samples=SAMPLES, seed=SEED)[HEADLINE]


def describe(label: str, count: int, found: Comparison) -> list[str]:
    """Return a row of a table."""
    bounds = "" if found.low is None or found.high is None else f" [{100 * found.low:+.1f}, {100 * found.high:+.1f}]"
    return [label, str(count), percent(found.left), percent(found.right), f"{100 * found.difference:+.1f}{bounds}"]


def build_page(records: Sequence[Record]) -> str:
    """Return the page."""
    titles = ["", "sentences", "pictures", "pictures and sound", "difference, points"]
    seeds = [describe(f"seed {record['seed']}", len(record["videos"]), compare([record])) for record in records]
    together = compare(records)
    seeds.append(describe("**mean of the seeds**", len(records[0]["videos"]), together))
    groups: dict[str, list[int]] = defaultdict(list)
    for row, kind in enumerate(records[0]["kinds"]):
        groups[kind].append(row)
    kinds = [describe(kind or "several", len(rows), compare(records, rows)) for kind, rows in sorted(groups.items())]
    commits = ", ".join(sorted({record["commit"] for record in records}))
    gains = [100 * compare([record]).difference for record in records]
    spread = f"{mean(gains):+.1f} ± {stdev(gains):.1f}" if len(gains) > 1 else f"{gains[0]:+.1f}"
    return f"""# Gain from a sound stream

R@1 at IoU > 0.5 of the default localizer on the test split of `shapes`, in percent, at {commits} on
{records[0]["machine"]}. Both trainings of a seed have the same encoders, pictures, sentences and seed; one training also reads
`log_mel` of the sound. Every kind of event in the drawn corpus has a sound, so every sentence about an event describes something
audible. Brackets are paired 95 % intervals over videos. The gain is {spread} points over {len(records)} seeds (± between seeds).

{format_table(titles, seeds)}

## By kind of event

Mean of the seeds.

{format_table(titles, [row for row in kinds if int(row[1]) >= MIN_QUERIES])}
"""


def main() -> None:
    """Run the command of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="train and score both, and append a record")
    run.add_argument("--data", type=Path, required=True, help="data/ of a checkout whose features have both streams")
    run.add_argument("--seed", type=int, required=True, help="seed of both trainings")
    commands.add_parser("page", help=f"write {PAGE.relative_to(ROOT)} from the records")
    options = parser.parse_args()
    if options.command == "page":
        PAGE.write_text(build_page(load_records()), encoding="utf-8")
        return
    record = measure(options.data, options.seed)
    with RECORDS.open("a", encoding="utf-8") as file:
        file.write(json.dumps(record, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
