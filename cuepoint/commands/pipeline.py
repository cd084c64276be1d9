"""`cuepoint repro`, `summary` and `bench`: the pipeline, its closing table, and the comparison of all components."""

import argparse
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from cuepoint.parsing import add_command
from cuepoint.running import require_package

if TYPE_CHECKING:
    from cuepoint.parsing import Commands

_BENCH_DESCRIPTION = """\
Train and compare every localizer, retriever and loss on the features of this checkout, and write docs/models.md. Each arm is
one training with its own MLflow run, scored on the held-out split like stage `evaluate`, and one line in docs/models.jsonl.
The key of an arm is a hash of its values, seed, code and data. An arm whose key is on record does not run again."""
_BENCH_EXAMPLES = """
cuepoint bench                              run the arms without a record; an interrupted bench resumes
cuepoint bench run --only 'loss/*'          run some arms
cuepoint bench run --again loss/focal       run some arms once more
cuepoint bench list                         list the arms with their outcome
cuepoint bench page                         write the page from the records
"""


def add(commands: "Commands") -> None:
    """Add the commands."""
    repro = add_command(
        commands,
        "repro",
        run_repro,
        purpose="run the stale stages of the pipeline, from raw videos to a packaged search",
        examples="cuepoint repro\ncuepoint repro evaluate            this stage and its inputs\ncuepoint repro --force index",
    )
    repro.add_argument("stages", nargs="*", metavar="STAGE", help="stages to bring up to date (default: all)")
    repro.add_argument("-f", "--force", action="store_true", help="run stages even if they are up to date")
    add_command(
        commands,
        "summary",
        run_summary,
        purpose="print the results of the pipeline: an answer, figures, times, sizes, and the next commands",
        examples="cuepoint summary",
    )
    bench = add_command(
        commands,
        "bench",
        run_bench,
        purpose="train and compare every localizer, retriever and loss: docs/models.md",
        description=_BENCH_DESCRIPTION,
        examples=_BENCH_EXAMPLES,
    )
    bench.add_argument("action", nargs="?", choices=("run", "list", "page"), default="run", help="(default: run)")
    bench.add_argument("--only", metavar="ARM", action="append", default=[], help="an arm or a pattern; may be repeated")
    bench.add_argument(
        "--again", metavar="ARM", action="append", default=[], help="an arm to run again from the start; may be repeated"
    )


def run_repro(options: argparse.Namespace) -> int:
    """Run DVC in a child process, and print the closing table if it succeeded."""
    require_checkout()
    require_package("dvc")
    arguments = [*(["--force"] if options.force else []), *options.stages]
    done = subprocess.run([sys.executable, "-m", "pipeline.dvc.process", "repro", *arguments], check=False)
    if done.returncode:
        return done.returncode if done.returncode > 0 else 128 - done.returncode
    return run_summary(options)


def run_summary(_: argparse.Namespace) -> int:
    """Print the closing table."""
    require_checkout()
    from pipeline.summary import main

    main()
    return 0


def run_bench(options: argparse.Namespace) -> int:
    """Run the arms, list them, or write their page."""
    require_checkout()
    from flows.bench.commands import list_all, run, write_page

    if options.action != "run" and (options.only or options.again):
        raise ValueError(f"cuepoint bench {options.action} takes neither --only nor --again; leave them out")
    match options.action:
        case "run":
            run(only=options.only, again=options.again)
        case "list":
            list_all()
        case "page":
            write_page()
    return 0


def require_checkout() -> None:
    """Refuse to run the pipeline outside a checkout.

    Raises:
        ValueError: naming this folder.
    """
    if not Path("params.yaml").is_file():
        raise ValueError(f"{Path.cwd()} is not a checkout of Cuepoint (it has no params.yaml); run the command in a checkout")
