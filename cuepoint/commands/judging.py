"""`cuepoint compare` and `score`: compare two runs, and score prediction files of any model.

`evaluation.scoring.command` defines the arguments and lists conventions and readers in its help.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cuepoint.parsing import Commands

COMMANDS = {
    "compare": "compare two runs, revisions or prediction files by their paired difference",
    "score": "score a file of predictions of any model by a public convention",
}


def add(commands: "Commands") -> None:
    """List the commands; `run` reads their arguments."""
    for name, purpose in COMMANDS.items():
        commands.add_parser(name, help=purpose, add_help=False)


def run(name: str, arguments: Sequence[str]) -> int:
    """Compare or score, and print the figures."""
    from functools import partial

    from evaluation.scoring.command import main
    from evaluation.scoring.compare import FIGURES
    from pipeline import paths
    from pipeline.dvc.revisions import read_revision

    main([name, *arguments], read_revision=partial(read_revision, path=paths.REPORTS / "evaluation" / FIGURES))
    return 0
