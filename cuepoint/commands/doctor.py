"""`cuepoint doctor`: finds what killed processes have left behind, and repairs it with --fix."""

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from cuepoint.commands.pipeline import require_checkout
from cuepoint.commands.servers import add_server_port
from cuepoint.parsing import add_command
from cuepoint.running import FAILED, find_prefect_url, require_package
from cuepoint.texts import to_printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cuepoint.parsing import Commands
    from pipeline.doctor.checks import Check
    from pipeline.doctor.findings import Finding

_DESCRIPTION = """\
Find what killed processes have left behind: stage processes without their DVC, stale locks and truncated files of DVC,
half-written outputs and temporary files, MLflow runs that are still RUNNING, Prefect runs without a process, and slots that
nobody holds. Without --fix, the command changes nothing. Its exit code is 1 if something is left to repair."""


def add(commands: "Commands") -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "doctor",
        run,
        purpose="find and repair what killed processes have left behind",
        description=_DESCRIPTION,
        examples="cuepoint doctor\ncuepoint doctor --fix",
    )
    parser.add_argument("--fix", action="store_true", help="repair what is found")
    add_server_port(parser)


def run(options: argparse.Namespace) -> int:
    """Run every check in order, and repair its findings if asked; return the exit code."""
    require_checkout()
    require_package("dvc")
    os.environ["PREFECT_API_URL"] = find_prefect_url(options.server_port)
    num_found = num_fixed = 0
    for name, findings in _iter_checks():
        for finding in findings:
            num_found += 1
            print(to_printable(f"{name}: {finding.what}"), flush=True)
            if options.fix:
                print(to_printable(f"{name}: {finding.fix()}"), flush=True)
                num_fixed += 1
    if num_found == num_fixed:
        print("nothing is left to repair" if num_found else "nothing was left behind")
        return 0
    print(f"{num_found} found; to repair all, run: cuepoint doctor --fix")
    return FAILED


def _iter_checks() -> "Iterator[tuple[str, list[Finding]]]":
    """Yield the name and the findings of each check; say which check is impossible, and why."""
    from pipeline.doctor.checks import NotCheckedError
    from pipeline.tracking.server import TrackingError

    for name, check in _list_checks().items():
        try:
            yield name, list(check(Path.cwd()))
        except (NotCheckedError, TrackingError) as error:
            print(to_printable(f"{name}: not checked: {error}"), flush=True)


def _list_checks() -> "dict[str, Check]":
    from cuepoint.running import has_package
    from pipeline.doctor.checks import CHECKS

    if not has_package("prefect"):
        print("Prefect: not checked: it is not installed")
        return CHECKS
    from flows.leftovers import find_leftovers

    return {**CHECKS, "Prefect": find_leftovers}
