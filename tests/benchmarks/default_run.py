"""Measures whole runs of the pipeline, from nothing, and writes docs/results.md from the records.

    python tests/benchmarks/default_run.py run --seed 2026 --seed 2027 --seed 2028     # three worlds, three models
    python tests/benchmarks/default_run.py run --share 0.0625 --share 0.25 --share 1    # growth with the videos
    python tests/benchmarks/default_run.py page                                        # docs/results.md

Each run clones HEAD to an empty folder, sets every seed, scales the numbers of videos, calls `dvc repro`, and appends one
record to default_run.jsonl beside this file.
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
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import yaml
from process_memory import sample
from results_page import build_page

from stages.support.machine import describe_machine

ROOT = Path(__file__).resolve().parents[2]
RECORDS = Path(__file__).with_suffix(".jsonl")
PAGE = ROOT / "docs" / "results.md"
SIZE = Path("presets/render/default.yaml")
SEED = 2026  # of params.yaml
SAMPLE_S = 1.0


def measure(seed: int, share: float, folder: Path) -> dict[str, Any]:
    """Run the pipeline in a new clone in `folder` and return its record."""
    subprocess.run(["git", "clone", "-q", str(ROOT), str(folder)], check=True)
    set_seed(folder / "params.yaml", seed)
    if share != 1:
        scale_videos(folder / SIZE, share)
    start_s = time.monotonic()
    with sample_memory() as memory:
        subprocess.run(["dvc", "repro"], cwd=folder, check=True, env=os.environ | {"PYTHONPATH": str(folder)})
    wall_s = time.monotonic() - start_s
    return {
        "commit": read_commit(folder),
        "machine": describe_machine(),
        "seed": seed,
        "share": share,
        "wall_s": wall_s,
        "peak_bytes": max(memory),
        **read_outcome(folder),
    }


def set_seed(path: Path, seed: int) -> None:
    """Give every stage another seed."""
    content, number = re.subn(rf"^(\s+seed:) {SEED}$", rf"\1 {seed}", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    if not number:
        raise ValueError(f"{path} has no seed {SEED} to replace")
    path.write_text(content, encoding="utf-8")


def scale_videos(path: Path, share: float) -> None:
    """Multiply the number of videos of every split."""
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    content["videos"] = {split: max(1, round(share * number)) for split, number in content["videos"].items()}
    path.write_text(yaml.safe_dump(content), encoding="utf-8")


@contextmanager
def sample_memory() -> Iterator[list[int]]:
    """Collect the memory of all processes below this one, shared pages counted once, every second of the block."""
    with sample(lambda: sum(map(read_memory, psutil.Process().children(recursive=True))), period_s=SAMPLE_S) as samples:
        samples.append(0)
        yield samples


def read_memory(process: psutil.Process) -> int:
    """Return the proportional share of memory of a process, 0 when it has ended."""
    try:
        return int(process.memory_full_info().pss)
    except psutil.Error:
        return 0


def read_outcome(folder: Path) -> dict[str, Any]:
    """Return what a finished run says of itself: corpus, costs by stage, figures, slices and bytes."""
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
    run = commands.add_parser("run", help="run the pipeline from nothing and append a record")
    run.add_argument("--seed", type=int, action="append", help=f"of everything; may be repeated (default: {SEED})")
    run.add_argument("--share", type=float, action="append", help="of the default's videos; may be repeated (default: 1)")
    run.add_argument("--work", type=Path, help="where clones are made and removed (default: the system's temporary folder)")
    commands.add_parser("page", help=f"write {PAGE.relative_to(ROOT)} from the records")
    return parser.parse_args(arguments)


def main() -> None:
    """Run what the command line asks for."""
    options = parse_arguments()
    if options.command == "page":
        PAGE.write_text(build_page([json.loads(line) for line in RECORDS.read_text(encoding="utf-8").splitlines()]))
        return
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    os.environ |= {"DVC_NO_ANALYTICS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
    for share in options.share or [1.0]:
        for seed in options.seed or [SEED]:
            folder = Path(tempfile.mkdtemp(prefix="cuepoint-run-", dir=options.work))
            try:
                record = measure(seed, share, folder / "clone")
            finally:
                shutil.rmtree(folder)
            with RECORDS.open("a", encoding="utf-8") as file:
                file.write(json.dumps(record, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
