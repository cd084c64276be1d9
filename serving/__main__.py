"""Search the collection from the command line: python -m serving "the red circle moves right" -k 5."""

import argparse
import os
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from corpus.moments import RankedMoment
    from serving.predictor import MomentPredictor


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the moments that answer a sentence; return the exit code."""
    options = parse_arguments(arguments)
    warnings.showwarning = _show_warning
    try:
        from serving.predictor import MomentPredictor

        predictor = MomentPredictor.load(options.bundle, options.index)
        found = predictor.search(options.query, options.top_k)
    except ModuleNotFoundError as error:
        return _fail(f"the package {error.name!r} is not installed; run: uv pip install -e '.[serve]'")
    except (ValueError, OSError) as error:
        return _fail(str(error))
    for word in predictor.find_unknown(options.query):
        print(f"warning: no video of the training was described with the word {word!r}; it does not count", file=sys.stderr)
    print_moments(found, predictor, media_root=options.media)
    return 0


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m serving", description="Find the moments that a sentence describes.")
    parser.add_argument("query", help="a sentence, for instance: the red circle moves right")
    parser.add_argument("-k", "--top-k", type=int, default=5, help="how many moments (default: 5)")
    parser.add_argument("--bundle", type=Path, default=Path("data/bundle"), help="folder of the models (default: data/bundle)")
    parser.add_argument("--index", type=Path, default=Path("data/index"), help="folder of the index (default: data/index)")
    parser.add_argument(
        "--media",
        type=Path,
        default=os.environ.get("CUEPOINT_MEDIA_ROOT"),
        help="folder of the corpus' videos (default: CUEPOINT_MEDIA_ROOT, or data/raw/<corpus>)",
    )
    return parser.parse_args(arguments)


def print_moments(found: "Sequence[RankedMoment]", predictor: "MomentPredictor", *, media_root: Path | None) -> None:
    """Print one line a moment: rank, video, time, score, and the file with the time to play."""
    from rich.console import Console
    from rich.table import Table

    root = Path(media_root) if media_root else Path("data/raw") / predictor.collection.corpus
    table = Table(box=None, pad_edge=False)
    for name in ("rank", "video", "time", "score", "play"):
        table.add_column(name, justify="right" if name in ("rank", "score") else "left", no_wrap=name != "play", overflow="fold")
    for rank, moment in enumerate(found, start=1):
        video = predictor.collection.find_video(moment.video_id)
        time = f"{format_time(moment.start_s)} - {format_time(moment.end_s)}"
        play = f"{root / video.path}#t={moment.start_s:.1f},{moment.end_s:.1f}"
        table.add_row(str(rank), moment.video_id, time, f"{moment.score:.3f}", play)
    Console(width=None if sys.stdout.isatty() else 200, highlight=False, markup=False).print(table)


def format_time(time_s: float) -> str:
    """Write a time as m:ss.s."""
    tenths = round(10 * time_s)
    return f"{tenths // 600}:{tenths % 600 / 10:04.1f}"


def _fail(message: str) -> int:
    print(f"search: error: {message}", file=sys.stderr)
    return 1


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    print(f"warning: {message}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
