"""Time of the tests by folder, and the slowest tests: python tests/benchmarks/suite_time.py [--targets quick test].

It runs the make targets and writes tests/benchmarks/suite.md. Run it on an idle machine.
"""

import argparse
import os
import re
import resource
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from pipeline.executors.machine import describe_machine

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "tests" / "benchmarks" / "suite.md"
TARGETS = ("quick", "test", "test-all")
NUM_SLOWEST = 50
PHASE = re.compile(r"^(\d+\.\d+)s (setup|call|teardown)\s+(\S.*)$")
OUTCOME = re.compile(r"^(\d+ .*) in (\d+\.\d+)s\b")


class Phase(NamedTuple):
    """The time of one phase of a test: setup, call or teardown."""

    seconds: float
    name: str
    test: str


class Run(NamedTuple):
    """One run of a make target."""

    target: str
    outcome: str  # pytest's summary: "12 passed, 1 skipped"
    wall_s: float
    cpu_s: float  # of all its processes
    phases: tuple[Phase, ...]  # slowest first


def list_phases(output: str) -> Iterator[Phase]:
    """Yield the phases in pytest's output of --durations."""
    for line in output.splitlines():
        found = PHASE.match(line)
        if found:
            yield Phase(float(found[1]), found[2], found[3])


def read_run(target: str, output: str, *, cpu_s: float) -> Run:
    """Parse the output of a run.

    Raises:
        ValueError: when the output has no outcome.
    """
    outcomes = [found for line in output.splitlines() if (found := OUTCOME.match(line))]
    if not outcomes:
        raise ValueError(f"make {target} printed no outcome; its last lines were:\n{output[-2000:]}")
    return Run(target, outcomes[-1][1], float(outcomes[-1][2]), cpu_s, tuple(sorted(list_phases(output), reverse=True)))


def sum_folders(phases: Sequence[Phase]) -> list[tuple[str, float]]:
    """Return the seconds of every folder of tests, slowest first."""
    seconds: Counter[str] = Counter()
    for phase in phases:
        seconds[phase.test.partition("::")[0].rpartition("/")[0]] += phase.seconds
    return seconds.most_common()


def build_page(runs: Sequence[Run], *, made: str) -> str:
    """Return the page: totals of all runs, then folders and slowest tests of the last run."""
    last = runs[-1]
    lines = ["# Time of the test suite", "", "```", "python tests/benchmarks/suite_time.py", "```", "", made, ""]
    lines += ["| run | outcome | wall, s | CPU of all processes, s |", "|---|---|---|---|"]
    lines += [f"| `make {run.target}` | {run.outcome} | {run.wall_s:.0f} | {run.cpu_s:.0f} |" for run in runs]
    lines += ["", f"## Folders in `make {last.target}`", "", "Seconds of all workers together.", ""]
    lines += ["| folder | s |", "|---|---|", *(f"| {folder} | {seconds:.1f} |" for folder, seconds in sum_folders(last.phases))]
    lines += ["", f"## The {NUM_SLOWEST} slowest in `make {last.target}`", "", "| s | phase | test |", "|---|---|---|"]
    slowest = last.phases[:NUM_SLOWEST]
    lines += [f"| {phase.seconds:.1f} | {phase.name} | `{phase.test.replace('|', chr(92) + '|')}` |" for phase in slowest]
    return "\n".join(lines) + "\n"


def run_target(target: str) -> Run:
    """Run a make target, print its output, and return its outcome and times."""
    before = _sum_children_s()
    command = ["make", target, "TEST_OPTIONS=--durations=0 --durations-min=0.05"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    lines = []
    for line in process.stdout or ():
        lines.append(line)
        if not PHASE.match(line):
            print(line, end="", flush=True)
    process.wait()
    return read_run(target, "".join(lines), cpu_s=_sum_children_s() - before)


def _sum_children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def describe_surroundings() -> str:
    """Return the commit, the machine, its load before the run, and the date."""
    done = subprocess.run(["git", "rev-parse", "--short=7", "HEAD"], cwd=ROOT, check=True, capture_output=True, text=True)
    load, today = os.getloadavg()[1], datetime.now(UTC).date()
    return f"At {done.stdout.strip()} on {describe_machine()}, with a load of {load:.1f} before the run; {today}."


def main() -> int:
    """Run the targets and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "targets", nargs="*", choices=TARGETS, default=["quick", "test"], metavar="TARGET", help=", ".join(TARGETS)
    )
    made = describe_surroundings()
    runs = [run_target(target) for target in parser.parse_args().targets]
    PAGE.write_text(build_page(runs, made=made), encoding="utf-8")
    print(f"wrote {PAGE.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
