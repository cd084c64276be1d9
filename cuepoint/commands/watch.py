"""`cuepoint watch` and `feedback`: reports on the traffic, and turns people's feedback into annotations."""

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from cuepoint.commands.pipeline import require_checkout
from cuepoint.parsing import add_command
from cuepoint.places import DEFAULT_STATE, parse_path

if TYPE_CHECKING:
    from cuepoint.parsing import Commands

_WATCH_DESCRIPTION = """\
Compare the newest sentences of the service's traffic log with training and write a report. The command remembers nothing and
starts nothing: the flow `watch` does that on a schedule. The exit code is 0 with and without drift."""
_WATCH_EXAMPLES = """
cuepoint watch
cuepoint watch --rows 1000 --out /tmp/report
cuepoint watch --state /srv/cuepoint/state --autoencoder"""
_FEEDBACK_DESCRIPTION = """\
Turn people's feedback on answers into annotations. Agreed moments of training videos become rows of annotations.jsonl with
source "feedback"; disputed ones and moments that are only called wrong are listed beside it."""
_FEEDBACK_EXAMPLES = """
cuepoint feedback export --corpus my_videos
cuepoint feedback export --out /tmp/feedback"""


def add(commands: "Commands") -> None:
    """Add the commands."""
    watch = add_command(
        commands,
        "watch",
        run_watch,
        purpose="report how the service's recent traffic differs from training",
        description=_WATCH_DESCRIPTION,
        examples=_WATCH_EXAMPLES,
    )
    add_state(watch)
    watch.add_argument("--rows", type=_parse_rows, default=500, metavar="N", help="newest sentences to compare (default: 500)")
    watch.add_argument("--autoencoder", action="store_true", help="look for odd sentences by a memory autoencoder too")
    watch.add_argument(
        "--out", type=parse_path, default=Path("data/reports/drift"), metavar="FOLDER", help="(default: data/reports/drift)"
    )
    feedback = add_command(
        commands,
        "feedback",
        run_feedback,
        purpose="turn people's feedback on answers into annotations",
        description=_FEEDBACK_DESCRIPTION,
        examples=_FEEDBACK_EXAMPLES,
    )
    feedback.add_argument("action", choices=("export",), help="what to do")
    add_state(feedback)
    target = feedback.add_mutually_exclusive_group()
    target.add_argument("--corpus", metavar="NAME", help="add the annotations to data/raw/NAME, a corpus of the reader `folder`")
    target.add_argument(
        "--out", type=parse_path, metavar="FOLDER", help="write annotations.jsonl there (default: data/reports/feedback)"
    )


def add_state(parser: argparse.ArgumentParser) -> None:
    """Add the option for the folder of the service."""
    parser.add_argument(
        "--state",
        type=parse_path,
        default=Path(os.environ.get("CUEPOINT_STATE") or DEFAULT_STATE),
        metavar="FOLDER",
        help="folder of the service (default: CUEPOINT_STATE, or data/service)",
    )


def run_watch(options: argparse.Namespace) -> int:
    """Compare the newest traffic with training."""
    require_checkout()
    import time

    from flows.watching.rules import WatchRules
    from flows.watching.samples import Places
    from flows.watching.watching import watch
    from pipeline import paths

    rules = WatchRules(min_rows=min(20, options.rows), max_rows=options.rows)
    places = Places(paths.CORPUS, paths.BUNDLE, paths.INDEX, options.state)
    watched = watch(
        places,
        options.out,
        rules,
        now_s=time.time(),
        records=False,
        with_autoencoder=options.autoencoder,
    )
    print(watched.markdown, end="")
    if watched.page:
        print(f"\nthe page: {watched.page}")
    return 0


def run_feedback(options: argparse.Namespace) -> int:
    """Write the annotations that feedback gives."""
    require_checkout()
    from flows.watching.feedback_export import export_feedback
    from pipeline import paths

    folder = paths.RAW / options.corpus if options.corpus else options.out or paths.REPORTS / "feedback"
    exported = export_feedback(options.state, folder, corpus_dir=paths.CORPUS, adds_to_corpus=bool(options.corpus))
    print(exported.describe())
    return 0


def _parse_rows(text: str) -> int:
    if not (text.isascii() and text.isdecimal()) or int(text) < 20:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of sentences; write a number of at least 20")
    return int(text)
