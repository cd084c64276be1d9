"""The command line of search: python -m serving search "the red circle moves right", python -m serving index FOLDER."""

import argparse
import os
import shlex
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from serving.answers import FoundMoment
    from serving.collection import Collection
    from serving.folder import LeftOut

SOME_LEFT_OUT, INTERRUPTED = 3, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return the exit code."""
    options = parse_arguments(arguments)
    warnings.showwarning = _show_warning
    try:
        code: int = options.run(options)
    except ModuleNotFoundError as error:
        return _fail(options, f"the package {error.name!r} is not installed; run: uv pip install -e '.[serve]'")
    except (ValueError, OSError) as error:
        return _fail(options, str(error))
    except KeyboardInterrupt:
        _fail(options, "interrupted")
        return INTERRUPTED
    return code


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m serving", description="Search videos for the moments that a sentence describes."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_search(commands.add_parser("search", help="print the moments that answer a sentence"))
    _add_index(commands.add_parser("index", help="index a folder of videos that have no annotations"))
    return parser.parse_args(arguments)


def _add_search(parser: argparse.ArgumentParser) -> None:
    parser.description = "Print the moments that a sentence describes, best first, each with the file and the time to play."
    parser.add_argument("query", help="a sentence, for instance: the red circle moves right")
    parser.add_argument("-k", "--top-k", type=int, default=5, help="how many moments (default: 5)")
    parser.add_argument(
        "--min-confidence", type=float, help="of what counts as found, from 0, every moment, to 1 (default: that of the models)"
    )
    _add_bundle(parser)
    parser.add_argument("--index", type=Path, default=Path("data/index"), help="folder of the index (default: data/index)")
    parser.add_argument(
        "--media",
        type=Path,
        default=os.environ.get("CUEPOINT_MEDIA_ROOT"),
        help="folder of the videos (default: CUEPOINT_MEDIA_ROOT, or the folder that was indexed, or data/raw/<corpus>)",
    )
    parser.set_defaults(run=search)


def _add_index(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Index the videos of a folder and its sub-folders, so that they can be searched. A second run encodes only what is "
        "new, and an interrupted one goes on where it was. What cannot be decoded is named with the reason and left out."
    )
    parser.epilog = "exit codes: 0 all videos are in the index, 3 some were left out, 1 there is no new index, 2 wrong usage"
    parser.add_argument("folder", type=Path, help="folder of the videos")
    _add_bundle(parser)
    parser.add_argument("--output", type=Path, help="folder of the index (default: FOLDER-index, beside FOLDER)")
    parser.add_argument(
        "--workers", type=_parse_count, default=_count_cores(), help="processes that decode and encode (default: one a core)"
    )
    parser.set_defaults(run=index)


def _add_bundle(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--bundle", type=Path, default=Path("data/bundle"), help="folder of the models (default: data/bundle)")


def search(options: argparse.Namespace) -> int:
    """Print the moments that answer a sentence."""
    from serving.answers import SearchQuery
    from serving.predictor import MomentPredictor

    predictor = MomentPredictor.load(options.bundle, options.index)
    (answer,) = predictor.search(SearchQuery(options.query, options.top_k, min_confidence=options.min_confidence))
    for word in answer.unknown_words:
        print(f"warning: no video of the training was described with the word {word!r}; it does not count", file=sys.stderr)
    if not answer.found:
        print("not found (--min-confidence 0 shows every moment), best guess:" if answer.best_guess else "not found")
    shown = answer.moments if answer.best_guess is None else (answer.best_guess,)
    print_moments(shown, predictor.collection, media_root=options.media)
    return 0


def index(options: argparse.Namespace) -> int:
    """Index a folder of videos, and print what was done and how to search it."""
    from serving.folder_index import NoReadableVideoError, index_folder

    output = options.output or _name_output(options.folder)
    try:
        report = index_folder(options.folder, bundle_dir=options.bundle, output_dir=output, num_workers=options.workers)
    except NoReadableVideoError as error:
        _print_left_out(error.left_out)
        raise
    _print_left_out(report.left_out)
    left_out = f", {len(report.left_out)} left out" if report.left_out else ""
    print(
        f"index: {report.num_videos} videos, {report.num_clips} clips; {report.num_encoded} newly encoded{left_out}; in {output}"
    )
    bundle = [] if options.bundle == Path("data/bundle") else ["--bundle", str(options.bundle)]
    print(shlex.join(["python", "-m", "serving", "search", "A SENTENCE", "--index", str(output), *bundle]))
    return SOME_LEFT_OUT if report.left_out else 0


def print_moments(found: "Sequence[FoundMoment]", collection: "Collection", *, media_root: Path | None) -> None:
    """Print one line a moment: rank, video, time, score, confidence, and the file with the time to play."""
    from rich.console import Console, JustifyMethod
    from rich.table import Table

    root = Path(media_root or collection.media_dir or Path("data/raw") / collection.corpus)
    table = Table(box=None, pad_edge=False)
    for name in ("rank", "video", "time", "score", "confidence", "play"):
        justify: JustifyMethod = "right" if name in ("rank", "score", "confidence") else "left"
        table.add_column(name, justify=justify, no_wrap=name != "play", overflow="fold")
    for rank, moment in enumerate(found, start=1):
        time = f"{format_time(moment.start_s)} - {format_time(moment.end_s)}"
        path = collection.find_video(moment.video_id).path
        play = format_play(root / path, moment) if path else "features only"
        confidence = "-" if moment.confidence is None else f"{100 * moment.confidence:.0f} %"
        table.add_row(str(rank), moment.video_id, time, f"{moment.score:.3f}", confidence, play)
    Console(width=None if sys.stdout.isatty() else 200, highlight=False, markup=False).print(table)


def format_play(path: Path, moment: "FoundMoment") -> str:
    """Write a file with the time to play, as players and browsers take it; signs that mean something in an address are quoted."""
    address = path.absolute().as_uri() if set("#?%") & set(str(path)) else str(path)
    return f"{address}#t={moment.start_s:.1f},{moment.end_s:.1f}"


def format_time(time_s: float) -> str:
    """Write a time as m:ss.s."""
    tenths = round(10 * time_s)
    return f"{tenths // 600}:{tenths % 600 / 10:04.1f}"


def _name_output(folder: Path) -> Path:
    whole = Path(os.path.abspath(folder))
    if not whole.name:
        raise ValueError(f"the index of {folder} cannot lie beside it; name another folder with --output")
    beside = whole.with_name(f"{whole.name}-index")
    return beside if folder.is_absolute() else Path(os.path.relpath(beside))


def _parse_count(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of processes, at least 1")
    return int(text)


def _count_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _print_left_out(left_out: "Sequence[LeftOut]") -> None:
    for name, reason in left_out:
        print(f"left out: {name}: {reason}", file=sys.stderr)


def _fail(options: argparse.Namespace, message: str) -> int:
    print(f"{options.command}: error: {message}", file=sys.stderr)
    return 1


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    print(f"warning: {message}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
