"""`cuepoint deploy`, `retrain`, `gate`, `explain`, `rollback`, `rebuild` and `challenger`: the registry and its champion."""

import argparse
import os
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from cuepoint.commands.servers import add_server_port
from cuepoint.parsing import add_command
from cuepoint.running import find_prefect_url, make_prefect_home

if TYPE_CHECKING:
    from cuepoint.parsing import Commands

_DEPLOY_EXAMPLES = """
cuepoint deploy
cuepoint deploy --cron "0 3 * * *" --timezone Europe/Berlin
"""


def add(commands: "Commands") -> None:
    """Add the commands."""
    deploy = add_command(
        commands,
        "deploy",
        run_deploy,
        purpose="register the flows with their schedules on the server that `cuepoint server` starts",
        examples=_DEPLOY_EXAMPLES,
    )
    deploy.add_argument(
        "--cron", default="0 3 * * *", help="schedule of retraining: minute hour day month weekday (default: 0 3 * * *)"
    )
    deploy.add_argument("--timezone", default="UTC", help="time zone of the schedule, such as Europe/Berlin (default: UTC)")
    deploy.add_argument(
        "--watch-minutes", type=parse_minutes, default=60, help="minutes between two looks at the traffic (default: 60)"
    )
    add_server_port(deploy)
    _add_retraining(commands)
    _add_versions(commands)
    add_command(
        commands,
        "challenger",
        run_challenger,
        purpose="register the checkout's bento as the challenger of the champion",
        description="Register the checkout's bento under the alias `challenger`, regardless of its figures.",
        examples="cuepoint challenger\ncuepoint serve --challenger shadow",
    )


def _add_retraining(commands: "Commands") -> None:
    retrain = add_command(
        commands,
        "retrain",
        run_retrain,
        purpose="bring the pipeline up to date, and promote its bundle if it passes the gate",
        description="Run the flow `retrain` here and now, as the schedule does.",
        examples='cuepoint retrain\ncuepoint retrain --why "new videos of May"',
    )
    retrain.add_argument("--why", default="a person asked", help="reason, which is recorded (default: a person asked)")
    add_command(
        commands,
        "gate",
        run_gate,
        purpose="compare the checkout's bento with the champion as Markdown, for a pull request",
        description="Let champion and challenger answer the queries of the gate and print the decision. The champion stays.",
        examples="cuepoint gate",
    )


def _add_versions(commands: "Commands") -> None:
    explain = add_command(
        commands,
        "explain",
        run_explain,
        purpose="print where every byte of a version came from, and the command that rebuilds it",
        examples="cuepoint explain champion\ncuepoint explain 3",
    )
    explain.add_argument("version", help="champion, or the number of a version")
    rollback = add_command(
        commands,
        "rollback",
        run_rollback,
        purpose="make the champion before the present one the champion again",
        examples='cuepoint rollback --why "finds no goals"\ncuepoint rollback --to 3 --why "the last good one"',
    )
    rollback.add_argument("--why", required=True, help="reason, which is recorded")
    rollback.add_argument("--to", metavar="VERSION", help="the version to serve (default: the champion before)")
    rebuild = add_command(
        commands,
        "rebuild",
        run_rebuild,
        purpose="rebuild a version in a new folder from its code and data, and compare the metrics",
        examples="cuepoint rebuild champion ../cuepoint-champion",
    )
    rebuild.add_argument("version", help="champion, or the number of a version")
    rebuild.add_argument("folder", type=Path, help="new folder")


def run_retrain(options: argparse.Namespace) -> int:
    """Run the flow once."""
    make_prefect_home()
    from flows.retrain import retrain_here

    print(retrain_here(options.why))
    return 0


def run_gate(_: argparse.Namespace) -> int:
    """Print the decision about the checkout's bento."""
    from flows.retraining.judging import compare_with_champion

    print(compare_with_champion())
    return 0


def run_explain(options: argparse.Namespace) -> int:
    """Print the origin of a version."""
    from pipeline.retraining.explain import explain

    print(explain(options.version))
    return 0


def run_rollback(options: argparse.Namespace) -> int:
    """Move the alias back."""
    from pipeline.tracking.promotions import describe_user, roll_back

    move = roll_back(who=describe_user(), why=options.why, to=options.to)
    print(f"version {move.version} is the champion again, in place of version {move.previous}")
    return 0


def run_rebuild(options: argparse.Namespace) -> int:
    """Rebuild a version and say whether it came out the same; exit code 1 if not."""
    from pipeline.retraining.rebuild import rebuild

    rebuilt = rebuild(options.version, options.folder, log=print)
    inputs = "the same inputs" if rebuilt.same_inputs else "other inputs"
    print(f"{rebuilt.folder}: {inputs}, {'the same metrics' if rebuilt.same_metrics else 'other metrics'}")
    return 0 if rebuilt.same_metrics else 1


def run_deploy(options: argparse.Namespace) -> int:
    """Deploy the flows of this checkout."""
    os.environ["PREFECT_API_URL"] = find_prefect_url(options.server_port)
    make_prefect_home()
    from flows.deploy import Timetable, deploy_checkout

    watch_every = timedelta(minutes=options.watch_minutes)
    flows = deploy_checkout(Timetable(options.cron, options.timezone, watch_every))
    print(f"deployed {', '.join(flows)}; retraining at {options.cron!r} ({options.timezone}); start the worker: cuepoint worker")
    return 0


def parse_minutes(text: str) -> int:
    """Read a number of minutes.

    Raises:
        ArgumentTypeError: when it is not at least 1.
    """
    if not (text.isascii() and text.isdecimal()) or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of minutes; write a number of at least 1")
    return int(text)


def run_challenger(_: argparse.Namespace) -> int:
    """Register the checkout's bento."""
    from pipeline.launch.challenger import nominate

    print(f"version {nominate()} is the challenger; try it: cuepoint serve --challenger shadow")
    return 0
