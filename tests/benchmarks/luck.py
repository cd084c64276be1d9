"""Experiments on rounding: find the step of the default run that amplifies it, with one change in each experiment.

    python tests/benchmarks/luck.py run --data data --work /tmp/luck   # parts without a record; resumes when interrupted
    python tests/benchmarks/luck.py list                               # the experiments
    python tests/benchmarks/default_run.py page                        # docs/results.md, which shows the records

`--data` is the folder `data/` of a checkout in which `dvc repro validate` has run. Each part runs in its own process, with
one thread unless the experiment changes the number of threads, and appends one record to luck.jsonl beside this file. `avx2`
hides the wider instructions of a processor with AVX-512, so that sums are rounded in another order. Everything else stays
equal, including seeds and videos.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from luck_training import Localizing, Pretraining, measure_distances, run_part

from pipeline.executors.machine import describe_machine

ROOT = Path(__file__).resolve().parents[2]
RECORDS = Path(__file__).with_suffix(".jsonl")
ISA: Mapping[str, Mapping[str, str]] = {
    "native": {},
    "avx2": {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"},
    "avx": {"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "AVX", "MKL_ENABLE_INSTRUCTIONS": "AVX"},
}
PRETRAININGS = (
    Pretraining("native"),
    Pretraining("avx2", isa="avx2"),
    Pretraining("nudged", nudged=True),
    Pretraining("two-threads", threads=2),
)
LOCALIZERS = (
    Localizing("native", "native"),
    Localizing("encoder-avx2", "avx2"),
    Localizing("encoder-nudged", "nudged"),
    Localizing("encoder-two-threads", "two-threads"),
    Localizing("encoder-last", "native", weights="last"),
    Localizing("encoder-avx2-last", "avx2", weights="last"),
    Localizing("encoder-nudged-last", "nudged", weights="last"),
    Localizing("localizer-avx2", "native", isa="avx2"),
    Localizing("localizer-nudged", "native", nudged=True),
    Localizing("localizer-seed-2027", "native", seed=2027),
    Localizing("localizer-seed-2028", "native", seed=2028),
)

Record = dict[str, Any]


def run_all(*, data: Path, work: Path, only: Sequence[str]) -> None:
    """Run every part without a record, in the order of the experiments."""
    done = {(record["kind"], record["name"]) for record in load_records()}
    for pretraining in PRETRAININGS:
        if ("pretraining", pretraining.name) not in done and _is_chosen(f"pretraining/{pretraining.name}", only):
            save_record("pretraining", asdict(pretraining), run_process("pretraining", pretraining, data=data, work=work))
    for localizing in LOCALIZERS:
        if ("localizer", localizing.name) not in done and _is_chosen(f"localizer/{localizing.name}", only):
            save_record("localizer", asdict(localizing), run_localizer(localizing, data=data, work=work))
    for kind, left, right in list_pairs():
        if (f"distance of {kind}s", f"{left} and {right}") not in done and not only:
            folder = work / f"{kind}s"
            rows = measure_distances(folder / left, folder / right, ("last", "average"))
            save_record(f"distance of {kind}s", {"name": f"{left} and {right}"}, {"distances": rows})


def _is_chosen(name: str, only: Sequence[str]) -> bool:
    return not only or name in only


def list_pairs() -> Iterator[tuple[str, str, str]]:
    """Yield pairs of trainings that differ only by rounding: kind and two names."""
    yield from (("encoder", PRETRAININGS[0].name, other.name) for other in PRETRAININGS[1:])
    yield from (("localizer", LOCALIZERS[0].name, name) for name in ("localizer-avx2", "localizer-nudged"))


def run_localizer(plan: Localizing, *, data: Path, work: Path) -> Record:
    """Extract the features if needed, train the localizer and score it; only the training may use other instructions."""
    if not (work / "features" / f"{plan.encoder}-{plan.weights}" / "index.json").is_file():
        run_process("extraction", plan, data=data, work=work, isa="native")
    trained = run_process("localizing", plan, data=data, work=work)
    return trained | {"scores": run_process("scoring", plan, data=data, work=work, isa="native")}


def run_process(kind: str, plan: Pretraining | Localizing, *, data: Path, work: Path, isa: str | None = None) -> Record:
    """Run one part in a process whose environment sets the instructions, and return its result."""
    out_path = work / "results" / f"{kind}-{plan.name}.json"
    out_path.unlink(missing_ok=True)
    hidden = {name for switches in ISA.values() for name in switches}
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    threads = str(plan.threads) if isinstance(plan, Pretraining) else "1"
    environment |= {"CUEPOINT_WORKERS": threads, "CUEPOINT_DEVICE": "cpu", "OMP_WAIT_POLICY": "PASSIVE", "PYTHONPATH": str(ROOT)}
    part = ["part", kind, json.dumps(asdict(plan)), "--data", str(data.resolve()), "--work", str(work.resolve())]
    command = [sys.executable, str(Path(__file__).resolve()), *part, "--out", str(out_path.resolve())]
    print(f"luck: {kind} {plan.name} ({isa or plan.isa})", flush=True)
    subprocess.run(command, cwd=ROOT, check=True, env=environment | ISA[isa or plan.isa])
    result: Record = json.loads(out_path.read_text(encoding="utf-8"))
    return result


def load_records() -> list[Record]:
    """Return all records."""
    return [json.loads(line) for line in RECORDS.read_text(encoding="utf-8").splitlines()] if RECORDS.is_file() else []


def save_record(kind: str, plan: Record, result: Record) -> None:
    """Append the result of one part, with commit and machine."""
    done = subprocess.run(["git", "rev-parse", "--short=7", "HEAD"], cwd=ROOT, check=True, capture_output=True, text=True)
    record = {"kind": kind, **plan, "commit": done.stdout.strip(), "machine": describe_machine(), **result}
    with RECORDS.open("a", encoding="utf-8") as file:
        file.write(json.dumps(record, sort_keys=True) + "\n")


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="run the experiments without a record")
    run.add_argument(
        "--only", metavar="NAME", action="append", default=[], help="pretraining/NAME or localizer/NAME; may be repeated"
    )
    commands.add_parser("list", help="list the experiments")
    part = commands.add_parser("part", help="run one part in this process; `run` calls it")
    part.add_argument("kind")
    part.add_argument("plan", type=json.loads)
    part.add_argument("--out", type=Path, required=True)
    for command in (run, part):
        command.add_argument("--data", type=Path, default=ROOT / "data", help="folder with corpus/ and raw/ (default: data/)")
        command.add_argument("--work", type=Path, default=ROOT / ".cache" / "luck", help="folder for weights and features")
    return parser.parse_args(arguments)


def main() -> None:
    """Run the command of the command line."""
    options = parse_arguments()
    match options.command:
        case "run":
            run_all(data=options.data, work=options.work, only=options.only)
        case "part":
            run_part(options.kind, options.plan, data=options.data, work=options.work, out_path=options.out)
        case "list":
            for plan in (*PRETRAININGS, *LOCALIZERS):
                print(plan)


if __name__ == "__main__":
    main()
