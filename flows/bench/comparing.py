"""Paired differences between arms on the same sentences, corrected for multiple comparisons.

Letters: Q queries.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from flows.bench.records import Record, Scores
from models.metrics.intervals import Comparison, compare_means
from models.metrics.tan2d import MEAN_IOU

LEVEL = 0.05
_SAMPLES = 10_000  # a level shared by many comparisons needs small p-values
_SEED = 0


def compare_records(baseline: Record, records: Sequence[Record]) -> dict[str, Comparison]:
    """Return the mean IoU of each arm minus the baseline's, by arm; arms that answered other sentences are left out."""
    return {
        record.arm: compare_scores(baseline.scores, record.scores)
        for record in records
        if record is not baseline and baseline.scores and record.scores and is_paired(baseline, record)
    }


def is_paired(left: Record, right: Record) -> bool:
    """Tell whether two arms answered the same sentences."""
    if left.scores is None or right.scores is None or left.dataset != right.dataset:
        return False
    return left.scores.video_index == right.scores.video_index


def compare_scores(left: Scores, right: Scores) -> Comparison:
    """Compare the mean IoU of first answers, (Q,) each."""
    first, second = ({MEAN_IOU: scores.unpack_iou()} for scores in (left, right))
    return compare_means(first, second, left.unpack_videos(), num_samples=_SAMPLES, seed=_SEED)[MEAN_IOU]


def find_significant(comparisons: Mapping[str, Comparison]) -> set[str]:
    """Return the names whose difference stays significant after correction for the number of comparisons.

    Source: Holm 1979, "A simple sequentially rejective multiple test procedure", at level 0.05.
    """
    known = {name: one.p_value for name, one in comparisons.items() if one.p_value is not None}
    ordered = sorted(known, key=lambda name: (known[name], name))
    holds = [known[name] <= LEVEL / (len(ordered) - place) for place, name in enumerate(ordered)]
    return set(ordered[: int(np.argmin([*holds, False]))])
