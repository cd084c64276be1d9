"""Cost of a `dvc repro` with nothing to do, compared with ten empty stages: python tests/benchmarks/noop_repro.py.

Run it in a checkout whose pipeline is up to date. The two are timed in turns, under the same load of the machine.
"""

import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

ROUNDS = 7
EMPTY_STAGES = 10


def make_empty_project(folder: Path) -> None:
    """Write a DVC project with a chain of ten empty stages, and bring it up to date."""
    stages = {f"stage_{number}": {"cmd": f"echo > out_{number}", "outs": [f"out_{number}"]} for number in range(EMPTY_STAGES)}
    for number in range(1, EMPTY_STAGES):
        stages[f"stage_{number}"]["deps"] = [f"out_{number - 1}"]
    (folder / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}), encoding="utf-8")
    for command in (["git", "init", "-q"], ["dvc", "init", "-q"], ["dvc", "repro", "-q"]):
        subprocess.run(command, cwd=folder, check=True)


def time_repro(folder: Path) -> tuple[float, float]:
    """Return wall and CPU seconds of one `dvc repro` with nothing to do.

    Raises:
        ValueError: when a stage ran.
    """
    before, start_s = os.times(), time.monotonic()
    done = subprocess.run(["dvc", "repro"], cwd=folder, capture_output=True, text=True, check=True)
    wall_s, after = time.monotonic() - start_s, os.times()
    if "Running stage" in done.stdout:
        raise ValueError(f"{folder} was not up to date; run this again")
    return wall_s, after.children_user + after.children_system - before.children_user - before.children_system


def main() -> None:
    """Print the table."""
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    os.environ["DVC_NO_ANALYTICS"] = "1"
    with tempfile.TemporaryDirectory() as name:
        make_empty_project(Path(name))
        folders = {"ten empty stages": Path(name), "this pipeline": Path.cwd()}
        for folder in folders.values():
            time_repro(folder)
        times = {label: [] for label in folders}
        for _ in range(ROUNDS):
            for label, folder in folders.items():
                times[label].append(time_repro(folder))
    print(f"Medians of {ROUNDS} turns; {os.cpu_count()} cores, Python {platform.python_version()}.\n")
    print("| `dvc repro` with nothing to do | wall, s | CPU, s |\n|---|---|---|")
    medians = {label: [statistics.median(column) for column in zip(*rows, strict=True)] for label, rows in times.items()}
    for label, (wall_s, cpu_s) in medians.items():
        print(f"| {label} | {wall_s:.2f} | {cpu_s:.2f} |")
    empty, ours = medians.values()
    print(f"| ratio | {ours[0] / empty[0]:.2f} | {ours[1] / empty[1]:.2f} |")


if __name__ == "__main__":
    main()
