"""`cuepoint deploy` and `challenger`: schedule the flow, and register a challenger of the champion."""

import argparse
import os
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
        purpose="register the flow with its schedule on the server that `cuepoint server` starts",
        examples=_DEPLOY_EXAMPLES,
    )
    deploy.add_argument("--cron", default="0 3 * * *", help="schedule: minute hour day month weekday (default: 0 3 * * *)")
    deploy.add_argument("--timezone", default="UTC", help="time zone of the schedule, such as Europe/Berlin (default: UTC)")
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
    """Deploy the flow of this checkout."""
    os.environ["PREFECT_API_URL"] = find_prefect_url(options.server_port)
    from flows.deploy import deploy_checkout

    deploy_checkout(cron=options.cron, timezone=options.timezone)
    print(f"the flow 'reproduce' runs at {options.cron!r} ({options.timezone}); start its worker: cuepoint worker")
    return 0


def run_challenger(_: argparse.Namespace) -> int:
    """Register the checkout's bento."""
    from pipeline.launch.challenger import nominate

    print(f"version {nominate()} is the challenger; try it: cuepoint serve --challenger shadow")
    return 0
