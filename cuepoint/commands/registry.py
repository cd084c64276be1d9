"""`cuepoint deploy` and `challenger`: schedule the flows, and register a challenger of the champion."""

import argparse
import os
from datetime import timedelta
from typing import TYPE_CHECKING

from cuepoint.commands.servers import add_server_port
from cuepoint.parsing import add_command
from cuepoint.running import find_prefect_url

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
    add_command(
        commands,
        "challenger",
        run_challenger,
        purpose="register the checkout's bento as the challenger of the champion",
        description="Register the checkout's bento under the alias `challenger`, regardless of its figures.",
        examples="cuepoint challenger\ncuepoint serve --challenger shadow",
    )


def run_deploy(options: argparse.Namespace) -> int:
    """Deploy the flows of this checkout."""
    os.environ["PREFECT_API_URL"] = find_prefect_url(options.server_port)
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
