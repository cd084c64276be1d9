"""Pieces of the command line that sub-commands share."""

import argparse
import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from cuepoint.places import parse_path

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]

Run = Callable[[argparse.Namespace], int]


def add_command(
    commands: "Commands", name: str, run: Run, *, purpose: str, description: str = "", examples: str
) -> argparse.ArgumentParser:
    """Add a sub-command; `purpose` is its line in the list of commands, and its help ends with `examples`."""
    parser = commands.add_parser(
        name,
        help=purpose,
        description=description or f"{purpose[0].upper()}{purpose[1:]}.",
        epilog=f"examples:\n{_indent(examples)}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run, command=name)
    return parser


def _indent(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.strip().splitlines())


def add_models(
    parser: argparse.ArgumentParser,
    *,
    bundle: str = "folder of the models (default: CUEPOINT_BUNDLE, or those that made the index, data/bundle or a fetched model)",
) -> None:
    """Add the options that name the models: a folder, which `bundle` describes, or a fetched model."""
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--bundle", type=parse_path, metavar="FOLDER", help=bundle)
    group.add_argument("--model", metavar="NAME", help="a fetched model; cuepoint models list names them")


def add_media(parser: argparse.ArgumentParser) -> None:
    """Add the option that names the folder of the videos."""
    parser.add_argument(
        "--media",
        type=parse_path,
        metavar="FOLDER",
        help="folder of the videos (default: CUEPOINT_MEDIA_ROOT, or the folder that was indexed, or data/raw/<corpus>)",
    )


def parse_port(text: str) -> int:
    """Read a port.

    Raises:
        ArgumentTypeError: when it is out of range.
    """
    if not (text.isascii() and text.isdecimal()) or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port; write a number from 1 to 65535")
    return int(text)


def parse_count(text: str) -> int:
    """Read a number of processes.

    Raises:
        ArgumentTypeError: when it is not at least 1.
    """
    if not (text.isascii() and text.isdecimal()) or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of processes; write a number of at least 1")
    return int(text)


def count_cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
