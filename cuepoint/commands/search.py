"""`cuepoint search`: prints the moments of an index that answer a sentence."""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from cuepoint.models_shown import describe_answer, describe_basis
from cuepoint.parsing import add_command, add_media, add_models
from cuepoint.places import choose_bundle, default_index, describe_missing_media, find_media_dir, parse_path, require_index
from cuepoint.running import NOT_FOUND, UNSURE, say
from cuepoint.texts import format_play

if TYPE_CHECKING:
    from cuepoint.parsing import Commands
    from search.answers import Answer, FoundMoment
    from search.contracts import SearchBundle, VideoCollection

_EXAMPLES = """
cuepoint search "the red circle moves right"
cuepoint search "a dog jumps into the lake" --index holiday-index -k 10
cuepoint search "a dog jumps into the lake" --min-confidence 0       every moment, however unsure
cuepoint search "a dog jumps into the lake" --json | jq -r '.moments[].path'
"""
_EXIT_CODES = {"found": 0, "not_found": NOT_FOUND, "unsure": UNSURE}


class Located(NamedTuple):
    """A moment with its rank and its file, None if the index knows no file."""

    rank: int
    moment: "FoundMoment"
    path: Path | None


def add(commands: "Commands") -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "search",
        run,
        purpose="print the moments that answer a sentence",
        description="Print the moments that a sentence describes, best first, each with its file and the time to play.",
        examples=_EXAMPLES,
    )
    parser.add_argument("query", nargs="+", metavar="SENTENCE", help="such as: the red circle moves right")
    parser.add_argument("-k", "--top-k", type=int, default=5, metavar="N", help="number of moments, up to 100 (default: 5)")
    parser.add_argument(
        "--min-confidence", type=float, metavar="P", help="confidence threshold, 0 (every moment) to 1 (default: of the models)"
    )
    parser.add_argument(
        "--index",
        type=parse_path,
        default=default_index(),
        metavar="FOLDER",
        help="folder of the index (default: CUEPOINT_INDEX, or data/index)",
    )
    add_models(parser)
    add_media(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON document; messages go to stderr")
    parser.add_argument(
        "--exit-code", action="store_true", help=f"end with {NOT_FOUND} if not found, {UNSURE} if unsure (default: 0 for both)"
    )


def run(options: argparse.Namespace) -> int:
    """Search, and print the moments."""
    from search.answers import SearchQuery
    from search.kinds import load_predictor

    sentence = _read_sentence(options.query)
    require_index(options.index)
    predictor = load_predictor(choose_bundle(options.bundle, options.index, model=options.model), options.index)
    (answer,) = predictor.search(SearchQuery(sentence, options.top_k, min_confidence=options.min_confidence))
    if answer.reason:
        say(f"unsure: {answer.reason}")
    for word in answer.unknown_words:
        say(f"warning: the word {word!r} is unknown to the models and is ignored; no training sentence contains it")
    collection = predictor.collection
    media_dir = find_media_dir(options.media, indexed=collection.media_dir, corpus=collection.corpus)
    located = locate(answer, collection, media_dir)
    _warn_of_missing_files(located, media_dir, options.index, is_folder=collection.media_dir is not None)
    if options.json:
        print(_dump(build_document(sentence, answer, located, predictor.bundle)))
    else:
        _print_answer(answer, located)
        say(describe_answer(predictor.bundle, answer))
    return _EXIT_CODES[answer.verdict] if options.exit_code else 0


def _read_sentence(words: Sequence[str]) -> str:
    sentence = " ".join(words)
    try:
        sentence.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"the sentence {sentence!r} is not valid UTF-8; type it in the encoding of the terminal") from error
    return sentence


def locate(answer: "Answer", collection: "VideoCollection", media_dir: Path) -> list[Located]:
    """Return the moments of an answer, or its best guess, each with its file."""
    from corpus.names import find_path

    moments = answer.moments if answer.best_guess is None else (answer.best_guess,)
    paths = (collection.find_video(moment.video_id).path for moment in moments)
    return [
        Located(rank, moment, Path(os.path.abspath(find_path(media_dir, path))) if path else None)
        for rank, (moment, path) in enumerate(zip(moments, paths, strict=True), start=1)
    ]


def build_document(sentence: str, answer: "Answer", located: Sequence[Located], bundle: "SearchBundle") -> dict[str, Any]:
    """Return the JSON document of an answer; times are in seconds, `path` is absolute, or null if there are only features."""
    rows = [{"rank": one.rank, "path": str(one.path) if one.path else None, **one.moment._asdict()} for one in located]
    return {
        "query": sentence,
        "verdict": answer.verdict.value,
        "reason": answer.reason,
        "found": answer.found,
        "moments": rows if answer.best_guess is None else [],
        "best_guess": None if answer.best_guess is None else rows[0],
        "unknown_words": list(answer.unknown_words),
        "model": {**bundle.model.model_dump(), "version": bundle.version},
        "basis": describe_basis(answer.basis) if answer.basis else None,
    }


def _dump(document: dict[str, Any]) -> str:
    is_unicode = (sys.stdout.encoding or "").lower().replace("-", "").startswith("utf")
    return json.dumps(document, indent=2, ensure_ascii=not is_unicode)


def _print_answer(answer: "Answer", located: Sequence[Located]) -> None:
    if line := describe_verdict(answer):
        print(line)
    if located:
        _print_table(located)


def describe_verdict(answer: "Answer") -> str:
    """Return the line above the moments; none is needed above moments that were found."""
    if answer.found:
        return ""
    name, shown = answer.verdict.value.replace("_", " "), ""
    if answer.best_guess:
        shown = " (--min-confidence 0 shows every moment), best guess:"
    elif answer.moments:
        shown = ", these moments come closest:"
    return f"{name}{shown}"


def _print_table(located: Sequence[Located]) -> None:
    from rich.cells import cell_len

    from cuepoint.table import Row, render

    rows = [
        Row(one.rank, video_id, start_s, end_s, score, confidence, _format_file(one.path, start_s, end_s))
        for one in located
        for video_id, start_s, end_s, score, confidence in (one.moment,)
    ]
    width = os.get_terminal_size(sys.stdout.fileno()).columns if sys.stdout.isatty() else None
    print("\n".join(render(rows, width or None, measure=cell_len)))


def _format_file(path: Path | None, start_s: float, end_s: float) -> str:
    if path is None:
        return "features only"
    shown = Path(os.path.relpath(path)) if path.is_relative_to(Path.cwd()) else path
    return format_play(shown, start_s, end_s, encoding=sys.stdout.encoding or "utf-8")


def _warn_of_missing_files(located: Sequence[Located], media_dir: Path, index_dir: Path, *, is_folder: bool) -> None:
    paths = [one.path for one in located if one.path]
    if not paths:
        return
    if message := describe_missing_media(media_dir, index_dir, is_folder=is_folder):
        say(f"warning: {message}")
        return
    for path in dict.fromkeys(path for path in paths if not os.path.exists(path)):
        say(f"warning: {path} is missing; to bring the index up to date, run: cuepoint index FOLDER")
