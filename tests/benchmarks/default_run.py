"""Measures whole runs of the pipeline from scratch, and writes docs/results.md from the records.

    python tests/benchmarks/default_run.py run                                    # all stages, from scratch
    python tests/benchmarks/default_run.py run --until evaluate --seed 2027 --seed 2028 --cache /tmp/dvc-cache
    python tests/benchmarks/default_run.py run --until evaluate --isa avx         # rounds in another order
    python tests/benchmarks/default_run.py run --share 0.0625 --share 0.25        # growth with the number of videos
    python tests/benchmarks/default_run.py page                                   # docs/results.md

Each run clones a commit to an empty folder, sets the seeds of `pretrain` and `train`, scales the number of videos, calls
`dvc repro`, and appends one record to default_run.jsonl beside this file. The drawn videos are the same in all runs. With a
cache, stages with equal inputs come from an earlier run, so their costs are missing from the record.
"""

import argparse
import csv
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import yaml
from luck import ISA
from luck_page import build_section
from process_memory import sample
from results_page import build_page

from pipeline.executors.machine import describe_machine

ROOT = Path(__file__).resolve().parents[2]
RECORDS = Path(__file__).with_suffix(".jsonl")
LUCK = RECORDS.with_name("luck.jsonl")
PAGE = ROOT / "docs" / "results.md"
SIZE = Path("presets/render/default.yaml")
SEED = 2026  # of params.yaml
SAMPLE_S = 1.0


@dataclass(frozen=True, slots=True)
class Plan:
    """One run: seed of all trainings, share of the default number of videos, instructions, commit, and last stage."""

    seed: int
    share: float
    isa: str
    commit: str
    until: str | None
    cache: Path | None


def measure(plan: Plan, folder: Path) -> dict[str, Any]:
    """Run the pipeline in a new clone in `folder` and return its record."""
    subprocess.run(["git", "clone", "-q", str(ROOT), str(folder)], check=True)
    subprocess.run(["git", "checkout", "-q", plan.commit], cwd=folder, check=True)
    if plan.cache:
        subprocess.run(["dvc", "config", "--local", "cache.dir", str(plan.cache.resolve())], cwd=folder, check=True)
    set_seeds(folder / "params.yaml", plan.seed)
    if plan.share != 1:
        scale_videos(folder / SIZE, plan.share)
    environment = os.environ | {"PYTHONPATH": str(folder)} | ISA[plan.isa]
    start_s = time.monotonic()
    with sample_memory() as memory:
        subprocess.run(["dvc", "repro", *([plan.until] if plan.until else [])], cwd=folder, check=True, env=environment)
    wall_s = time.monotonic() - start_s
    return {
        "commit": read_commit(folder),
        "machine": describe_machine(),
        "seed": plan.seed,
        "isa": name_isa(environment),
        "share": plan.share,
        "wall_s": wall_s,
        "peak_bytes": max(memory),
        **read_outcome(folder),
    }


def set_seeds(path: Path, seed: int) -> None:
    """Set the seed of the trainings; the videos stay the same."""
    content = path.read_text(encoding="utf-8")
    for stage in ("pretrain", "train"):
        content, number = re.subn(rf"^({stage}:\n(?:  .*\n)*?  seed:) \d+$", rf"\1 {seed}", content, flags=re.MULTILINE)
        if not number:
            raise ValueError(f"{path} has no seed of {stage}; measure a commit whose params.yaml has one")
    path.write_text(content, encoding="utf-8")


def name_isa(environment: Mapping[str, str]) -> str:
    """Return the widest instructions that torch uses in an environment: avx512, avx2, or avx for the oldest code."""
    program = "import torch; print(torch.backends.cpu.get_cpu_capability())"
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True, env=dict(environment))
    return {"DEFAULT": "avx"}.get(done.stdout.strip(), done.stdout.strip().lower())


def scale_videos(path: Path, share: float) -> None:
    """Multiply the number of videos of every split."""
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    content["videos"] = {split: max(1, round(share * number)) for split, number in content["videos"].items()}
    path.write_text(yaml.safe_dump(content), encoding="utf-8")


@contextmanager
def sample_memory() -> Iterator[list[int]]:
    """Collect the memory of all descendant processes every second of the block, with shared pages counted once."""
    with sample(lambda: sum(map(read_memory, psutil.Process().children(recursive=True))), period_s=SAMPLE_S) as samples:
        samples.append(0)
        yield samples


def read_memory(process: psutil.Process) -> int:
    """Return the proportional set size of a process, 0 if it has ended."""
    try:
        return int(process.memory_full_info().pss)
    except psutil.Error:
        return 0


def read_outcome(folder: Path) -> dict[str, Any]:
    """Return the outcome of a finished run: corpus, costs by stage, figures, slices and sizes."""
    evaluation = folder / "data" / "reports" / "evaluation"
    with (evaluation / "slices.csv").open(encoding="utf-8") as file:
        slices = list(csv.DictReader(file))
    timings = sorted((folder / ".cache" / "timings").glob("*.json"), key=lambda path: path.stat().st_mtime)
    return {
        "splits": read_json(folder / "data" / "corpus" / "summary.json")["splits"],
        "stages": {path.stem: read_json(path) for path in timings},
        "figures": read_json(evaluation / "metrics.json"),
        "slices": slices,
        "bytes": {part.name: count_bytes(part) for part in sorted((folder / "data").iterdir()) if part.is_dir()},
    }


def load_records(path: Path) -> list[dict[str, Any]]:
    """Return the records of a file, one a line."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def read_json(path: Path) -> Any:
    """Read a JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))


def count_bytes(folder: Path) -> int:
    """Return the bytes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def read_commit(folder: Path) -> str:
    """Return the short hash of a clone's HEAD."""
    done = subprocess.run(["git", "rev-parse", "--short=7", "HEAD"], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="run the pipeline from scratch and append a record")
    run.add_argument("--seed", type=int, action="append", help=f"seed of all trainings; may be repeated (default: {SEED})")
    run.add_argument("--share", type=float, action="append", help="share of the default videos; may be repeated (default: 1)")
    run.add_argument("--isa", choices=list(ISA), default="native", help="instructions (default: all that the processor has)")
    run.add_argument("--commit", default="HEAD", help="commit to run (default: HEAD)")
    run.add_argument("--until", metavar="STAGE", help="last stage to run (default: all)")
    run.add_argument("--cache", type=Path, help="DVC cache that runs share (default: one per run)")
    run.add_argument("--work", type=Path, help="folder for the clones (default: the temporary folder)")
    commands.add_parser("page", help=f"write {PAGE.relative_to(ROOT)} from the records")
    return parser.parse_args(arguments)


def main() -> None:
    """Run the command of the command line."""
    options = parse_arguments()
    if options.command == "page":
        PAGE.write_text(build_page(load_records(RECORDS), build_section(load_records(LUCK))), encoding="utf-8")
        return
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    os.environ |= {"DVC_NO_ANALYTICS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
    for share in options.share or [1.0]:
        for seed in options.seed or [SEED]:
            plan = Plan(seed, share, options.isa, options.commit, options.until, options.cache)
            folder = Path(tempfile.mkdtemp(prefix="cuepoint-run-", dir=options.work))
            try:
                record = measure(plan, folder / "clone")
            finally:
                shutil.rmtree(folder)
            with RECORDS.open("a", encoding="utf-8") as file:
                file.write(json.dumps(record, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
