"""`cuepoint index`: indexes a folder of videos without annotations for search."""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cuepoint.models_shown import say_model
from cuepoint.parsing import add_command, add_models, count_cores, parse_count
from cuepoint.places import choose_bundle, explain_unwritable, name_output, parse_path, require_same_models, require_videos
from cuepoint.running import SOME_LEFT_OUT, say
from cuepoint.texts import join_command, to_printable

if TYPE_CHECKING:
    from cuepoint.parsing import Commands
    from search.indexing.folder_index import FolderReport
    from search.indexing.folder_videos import LeftOut

_DESCRIPTION = """\
Index the videos of a folder and its sub-folders for search. The folder itself is not changed. A second run encodes only new
files, and an interrupted run resumes. A file that cannot be decoded is left out and named with the reason."""
_EXAMPLES = """
cuepoint index ~/Videos/holiday                              writes ~/Videos/holiday-index
cuepoint index ~/Videos/holiday --model siglip_b16           with a fetched model; cuepoint models list names them
cuepoint index /media/stick/videos --output ~/stick-index    when the folder of the videos is read-only

exit codes: 0 all videos are in the index, 3 some were left out, 1 no new index, 2 wrong usage, 130 interrupted
"""
_REMEDY = "name a writable folder with --output FOLDER (make index: INDEX=FOLDER)"


def add(commands: "Commands") -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "index",
        run,
        purpose="index a folder of videos without annotations",
        description=_DESCRIPTION,
        examples=_EXAMPLES,
    )
    parser.add_argument("folder", type=parse_path, metavar="FOLDER", help="folder of the videos")
    add_models(parser)
    parser.add_argument(
        "-o", "--output", type=parse_path, metavar="FOLDER", help="folder of the index (default: FOLDER-index, beside FOLDER)"
    )
    parser.add_argument(
        "--workers",
        type=parse_count,
        default=count_cores(),
        metavar="N",
        help="processes that decode and encode (default: one per core)",
    )


def run(options: argparse.Namespace) -> int:
    """Index a folder of videos, then print the counts and the command that searches it."""
    from corpus.video_files import describe_passed_over
    from search.indexing.folder_index import NoReadableVideoError, index_folder
    from search.indexing.folder_thumbnails import update_thumbnails

    output = options.output or name_output(options.folder)
    require_videos(options.folder, output)
    bundle_dir = choose_bundle(options.bundle, output, model=options.model)
    if not (options.bundle or options.model or os.environ.get("CUEPOINT_BUNDLE")):
        require_same_models(output, bundle_dir)
    say_model(bundle_dir)
    try:
        with explain_unwritable(output, _REMEDY):
            report = index_folder(options.folder, bundle_dir=bundle_dir, output_dir=output, num_workers=options.workers)
            thumbnails = update_thumbnails(output, num_workers=options.workers)
    except NoReadableVideoError as error:
        _say_left_out(error.left_out)
        raise
    _say_left_out(report.left_out)
    for name, text in report.notes:
        say(f"note: {name}: {text}")
    for name, reason in thumbnails.left_out:
        say(f"note: {name}: it has no thumbnails: {reason}")
    if report.passed_over:
        say(describe_passed_over(report.passed_over))
    print(to_printable(_summarize(report, output)))
    bundle = ["--bundle", options.bundle] if options.bundle else []
    print(join_command(["cuepoint", "search", "A SENTENCE", "--index", output, *bundle]))
    print(join_command(["cuepoint", "serve", "--index", output, *bundle]))
    return SOME_LEFT_OUT if report.left_out else 0


def _summarize(report: "FolderReport", output: Path) -> str:
    left_out = f", {len(report.left_out)} left out" if report.left_out else ""
    return (
        f"index: {report.num_videos} videos, {report.num_clips} clips; {report.num_encoded} newly encoded{left_out}; in {output}"
    )


def _say_left_out(left_out: "Sequence[LeftOut]") -> None:
    for name, reason in left_out:
        say(f"left out: {name}: {reason}")
