"""Scores prediction files of any model (`cuepoint score`), or compares two runs (`cuepoint compare`)."""

import argparse
import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from corpus.readers import list_readers
from evaluation.scoring import prediction_files
from evaluation.scoring.compare import Scored, compare, parse_evaluation, read_evaluation, score_file
from evaluation.scoring.conventions import CONVENTIONS, FileConvention, to_percent
from evaluation.scoring.ground_truth import GroundTruth, read_ground_truth
from evaluation.scoring.pairing import pair
from evaluation.scoring.prediction_files import read_predictions
from models.metrics.intervals import Estimate, estimate_means

ReadRevision = Callable[[str], str]

_DESCRIPTION = f"""\
Score a file of predictions of any model; JSON is printed, in percent.

examples:
  cuepoint score --predictions P.jsonl --ground-truth G.jsonl --convention qvhighlights
  cuepoint score --predictions P.jsonl --ground-truth data/raw/charades --reader charades_sta --split test \\
    --convention 2d-tan --nms 0.5

{prediction_files.__doc__}
Conventions:
  qvhighlights  IoU >= m; windows as listed, R1 of the first, mAP of the first ten by score; saliency. The public
                evaluator's figures, keys and rounding.
  2d-tan        IoU > m; windows by score, suppressed above --nms; R@1, R@5, mIoU.
  didemo        Rank@1, Rank@5, mIoU over the 21 runs of 5 s chunks, against the three people who agree best.
  tvr           IoU >= m; R@1, 5, 10, 100 in the given video (SVMR: pred_relevant_windows), over all videos (VCMR:
                pred_collection_moments) and of videos (VR: pred_videos), as listed.
"""
_COMPARE_EXAMPLES = """\
examples:
  cuepoint compare main my-experiment                                  commits, branches, DVC experiments
  cuepoint compare data/reports/evaluation ../other/evaluation --json
  cuepoint compare A.jsonl B.jsonl --ground-truth G.jsonl --convention qvhighlights"""


def main(arguments: Sequence[str], *, read_revision: ReadRevision) -> None:
    """Run `compare ...` or `score ...` and print the result; `read_revision` returns the figures.csv of a revision."""
    name, *options = arguments
    if name == "compare":
        print(_compare(_build_compare_parser().parse_args(options), read_revision))
    else:
        print(json.dumps(score(_build_score_parser().parse_args(options)), indent=4))


def score(options: argparse.Namespace) -> dict[str, Any]:
    """Score a prediction file, and return the result as JSON values.

    Raises:
        ValueError: naming the lines or options that cannot be scored.
    """
    convention = build_convention(options.convention, options.nms)
    pairs = pair(_read_truth(options), read_predictions(options.predictions), shared_only=options.shared_only)
    figures = convention.score(pairs)
    printed = convention.arrange(figures)
    if options.intervals:
        estimates = estimate_means(figures, pairs.videos, num_samples=options.samples, seed=options.seed)
        printed["intervals"] = {name: _arrange_interval(one) for name, one in estimates.items()}
    return printed


def _arrange_interval(estimate: Estimate) -> list[float] | None:
    if estimate.low is None or estimate.high is None or math.isnan(estimate.low):
        return None
    return [to_percent(estimate.low), to_percent(estimate.high)]


def build_convention(name: str, nms: str | None) -> FileConvention:
    """Return the convention of a name. `nms` is a threshold, "none" for files that are suppressed already, None if not given.

    Raises:
        ValueError: when a convention needs a threshold or takes none.
    """
    if name == "2d-tan" and nms is None:
        raise ValueError(
            "2d-tan needs --nms: published thresholds differ (0.5; Charades-STA pool 0.45; TACoS pool 0.4; MS-2D-TAN 0.49); "
            "--nms none for windows that are suppressed already"
        )
    if name in ("qvhighlights", "didemo") and nms is not None:
        raise ValueError(f"{name} takes windows in listed order without suppression; leave --nms out")
    return CONVENTIONS[name](None if nms in (None, "none") else _read_threshold(nms))


def _read_threshold(text: str | None) -> float:
    try:
        value = float(text or "")
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise ValueError(f"--nms must be an IoU from 0 to 1, or none, got {text!r}")
    return value


def _compare(options: argparse.Namespace, read_revision: ReadRevision) -> str:
    left, right = (_read_side(path, options, read_revision) for path in (options.left, options.right))
    contest = compare(left, right, shared_only=options.shared_only, num_samples=options.samples, seed=options.seed)
    return json.dumps(contest.to_json(), indent=4) if options.json else contest.to_table()


def _read_side(path: Path, options: argparse.Namespace, read_revision: ReadRevision) -> Scored:
    if path.is_dir():
        return read_evaluation(path)
    if not path.is_file():
        return parse_evaluation(read_revision(str(path)), name=str(path))
    if options.ground_truth is None or options.convention is None:
        raise ValueError(f"{path}: a prediction file needs --ground-truth and --convention")
    convention = build_convention(options.convention, options.nms)
    return score_file(path, _read_truth(options), convention, shared_only=options.shared_only)


def _read_truth(options: argparse.Namespace) -> GroundTruth:
    return read_ground_truth(options.ground_truth, reader=options.reader, split=options.split)


def _build_score_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="cuepoint score", description=_DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--predictions", type=Path, required=True, help="JSONL file of predictions")
    _add_scoring(parser, required=True)
    parser.add_argument("--intervals", action="store_true", help='add "intervals": 95 %% bootstrap over videos for each figure')
    return parser


def _build_compare_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="cuepoint compare",
        description="Right minus left on the same queries, with the paired 95 % interval and p-value by bootstrap over videos.",
        epilog=_COMPARE_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    for side in ("left", "right"):
        parser.add_argument(side, type=Path, help="a folder that evaluate wrote, a commit or DVC experiment, or a JSONL file")
    _add_scoring(parser, required=False)
    parser.add_argument("--json", action="store_true", help="print JSON (shares, not percent) in place of a table")
    return parser


def _add_scoring(parser: argparse.ArgumentParser, *, required: bool) -> None:
    parser.add_argument("--ground-truth", type=Path, required=required, help="JSONL file, data/corpus, or the folder of --reader")
    parser.add_argument("--convention", choices=sorted(CONVENTIONS), required=required)
    parser.add_argument("--nms", metavar="IOU", help="threshold of the suppression (2d-tan, tvr), or none")
    parser.add_argument("--reader", choices=list_readers(), help="format of the folder of --ground-truth")
    parser.add_argument("--split", help="split of the folder to score")
    parser.add_argument("--shared-only", action="store_true", help="if the qids differ, score only those on both sides")
    parser.add_argument("--samples", type=int, default=1000, help="number of bootstrap samples (default: 1000)")
    parser.add_argument("--seed", type=int, default=2026, help="seed of the bootstrap (default: 2026)")
