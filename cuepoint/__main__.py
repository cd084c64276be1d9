"""The program `cuepoint`, also `python -m cuepoint`: reads the command line and runs one sub-command."""

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from typing import Any

from cuepoint import running
from cuepoint.commands import corpus, index, judging, models, pipeline, registry, search, serve, servers, status, watch

_DESCRIPTION = "Search videos for the moments that a sentence describes, and run the pipeline that trains the search."
_EPILOG = """\
examples:
  cuepoint index ~/Videos/holiday
  cuepoint search "a dog jumps into the lake" --index ~/Videos/holiday-index
  cuepoint serve --index ~/Videos/holiday-index

`cuepoint COMMAND --help` lists the options of a command, with examples.
exit codes: 0 done, 1 error, 2 wrong usage, 3 done in part, 130 interrupted"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    Raises:
        SystemExit: after --help or --version, and with code 2 for a wrong command line, from argparse.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    running.prepare_streams()
    if given[:1] and given[0] in judging.COMMANDS:
        return running.run(partial(judging.run, given[0], given[1:]), name=given[0])
    options = build_parser().parse_args(given)
    return running.run(partial(options.run, options), name=options.command)


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    parser = argparse.ArgumentParser(
        prog="cuepoint", description=_DESCRIPTION, epilog=_EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", title="commands")
    for module in (index, search, serve, status, models, servers, pipeline, judging, corpus, registry, watch):
        module.add(commands)
    return parser


class _Version(argparse.Action):
    """Prints the version; the package metadata are read only when the option is used."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        print(f"cuepoint {find_version()}")
        parser.exit()


def find_version() -> str:
    """Return the version of the installed package, or of the checkout if it is not installed."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("cuepoint")
    except PackageNotFoundError:
        import tomllib
        from pathlib import Path

        content = (Path(__file__).resolve().parents[1] / "pyproject.toml").read_text(encoding="utf-8")
        return str(tomllib.loads(content)["project"]["version"])


if __name__ == "__main__":
    sys.exit(main())
