"""Trains and compares every localizer, retriever and loss, and writes the page of what came out.

    python -m flows.bench run                     # what has no record yet; an interrupted bench goes on
    python -m flows.bench run --only 'loss/*'     # some arms
    python -m flows.bench run --again loss/focal  # some arms once more
    python -m flows.bench list                    # the arms, with what became of each
    python -m flows.bench page                    # the page from the records

An arm trains on the features of this checkout under an MLflow run of its own, is scored on the held-out split as stage
`evaluate` does, and leaves one line in docs/models.jsonl. Its key is a hash of its values, its seed, the code that it is built
of and the data: an arm whose key is on record is not run again.
"""

import argparse
from collections.abc import Sequence

from stages.support.entry import run_main


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m flows.bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="run the arms without a record, then write the page")
    run.add_argument("--only", metavar="ARM", action="append", default=[], help="an arm, or a pattern of some; may be repeated")
    run.add_argument(
        "--again",
        metavar="ARM",
        action="append",
        default=[],
        help="arms to run from their start although they are on record, or were cut",
    )
    commands.add_parser("list", help="list the arms")
    commands.add_parser("page", help="write the page from the records")
    return parser.parse_args(arguments)


def main() -> None:
    """Run what the command line asks for."""
    options = parse_arguments()
    from flows.bench.commands import list_all, run, write_page

    match options.command:
        case "run":
            run(only=options.only, again=options.again)
        case "list":
            list_all()
        case "page":
            write_page()


if __name__ == "__main__":
    run_main(main, name="bench")
