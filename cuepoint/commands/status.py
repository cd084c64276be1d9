"""`cuepoint status`: reports the state of each piece in this folder and on this machine, with the command that makes it."""

import argparse
import json
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from cuepoint.parsing import add_command, add_models, parse_port
from cuepoint.places import choose_bundle, default_index, parse_path
from cuepoint.texts import to_printable

if TYPE_CHECKING:
    from cuepoint.checks import Check
    from cuepoint.parsing import Commands

_DESCRIPTION = """\
Show the state of the corpus, the pipeline and its stale stages, the bundle, the index and its videos, the champion of the
registry, and the service. The command changes nothing. A check that needs a missing package says so."""


def add(commands: "Commands") -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "status",
        run,
        purpose="show the state of pipeline, models, index, champion and service",
        description=_DESCRIPTION,
        examples="cuepoint status\ncuepoint status --index ~/Videos/holiday-index\ncuepoint status --json",
    )
    add_models(parser)
    parser.add_argument(
        "--index", type=parse_path, default=default_index(), metavar="FOLDER", help="(default: CUEPOINT_INDEX, or data/index)"
    )
    parser.add_argument("--port", type=parse_port, default=3000, help="port of the service on this machine (default: 3000)")
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def run(options: argparse.Namespace) -> int:
    """Print the result of every check."""
    from cuepoint.checks import check_all

    media = os.environ.get("CUEPOINT_MEDIA_ROOT")
    found = check_all(
        bundle_dir=choose_bundle(options.bundle, options.index, model=options.model),
        index_dir=options.index,
        media=media,
        port=options.port,
    )
    if options.json:
        print(json.dumps({name: check._asdict() for name, check in found.items()}, indent=2))
    else:
        print("\n".join(_format(found)))
    return 0


def _format(found: "Mapping[str, Check]") -> list[str]:
    width = max(map(len, found))
    return [to_printable(f"{name:<{width}}  {check.state:<8}  {check.detail}") for name, check in found.items()]
