"""`cuepoint corpus`: summarises annotations and probes video files."""

import argparse
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

from cuepoint.parsing import add_command
from cuepoint.places import parse_path
from cuepoint.running import FAILED, say

if TYPE_CHECKING:
    from cuepoint.parsing import Commands

_EXAMPLES = """
cuepoint corpus summary --reader folder --root data/raw/my_videos
cuepoint corpus probe holiday.mp4 kitchen.mov
"""


def add(commands: "Commands") -> None:
    """Add the commands."""
    parser = add_command(
        commands,
        "corpus",
        run_summary,
        purpose="summarise annotations, or probe video files",
        examples=_EXAMPLES,
    )
    actions = parser.add_subparsers(required=True, metavar="ACTION", title="actions")
    summary = add_command(
        actions,
        "summary",
        run_summary,
        purpose="count the annotations of a corpus and name every wrong row, as JSON",
        description="Count the annotations of a corpus for each published split, and list the rows that are dropped or clipped. "
        "The command needs no videos and writes nothing.",
        examples="cuepoint corpus summary\ncuepoint corpus summary --reader charades_sta --root data/raw/charades",
    )
    summary.add_argument(
        "--reader", metavar="READER", choices=_Readers(), help="one of %(choices)s (default: corpus.reader of params.yaml)"
    )
    summary.add_argument(
        "--root",
        type=parse_path,
        metavar="FOLDER",
        help="folder of the annotations (default: data/raw/<corpus.name of params.yaml>)",
    )
    probe = add_command(
        actions,
        "probe",
        run_probe,
        purpose="print the properties of video files as JSON, with the field names of ffprobe",
        examples="cuepoint corpus probe holiday.mp4 kitchen.mov\ncuepoint corpus probe --decode holiday.mp4",
    )
    probe.add_argument("files", nargs="+", type=parse_path, metavar="FILE")
    probe.add_argument("--decode", action="store_true", help="decode each file from start to end and report its damage")


class _Readers:
    """The names of the readers, imported only when help lists them; the registry reports unknown names."""

    def __iter__(self) -> Iterator[str]:
        from corpus.readers import list_readers

        return iter(list_readers())

    def __contains__(self, name: object) -> bool:
        return True


def run_summary(options: argparse.Namespace) -> int:
    """Print a summary of annotations as JSON."""
    from stages.ingest import print_summary

    print_summary(options.reader, options.root)
    return 0


def run_probe(options: argparse.Namespace) -> int:
    """Print one JSON object a file; name unreadable files on stderr and return 1 if there are any."""
    from corpus.media import UndecodableError, describe, examine

    status = 0
    for path in options.files:
        try:
            print(json.dumps(describe(path, info=examine(path) if options.decode else None), indent=2))
        except BrokenPipeError:
            raise
        except (UndecodableError, OSError) as error:
            say(f"probe: error: {error}")
            status = FAILED
    return status
