"""Scoring conventions of prediction files, each with the keys of its public evaluator."""

import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np

from corpus.annotations import name_some
from evaluation.scoring.pairing import Pairs
from models.metrics.convention import Figures, IoURule, compute_means
from models.metrics.didemo import CHUNK_S, NUM_CHUNKS, DiDeMoConvention, encode_segments
from models.metrics.highlights import MIN_RATINGS, compute_highlight_figures
from models.metrics.qvhighlights import (
    AP_THRESHOLDS,
    FULL,
    R1_THRESHOLDS,
    RANGES,
    QVHighlightsConvention,
    name_figure,
)
from models.metrics.spans import Bools
from models.metrics.tan2d import Tan2dConvention
from models.metrics.tvr import TvrConvention, count_needed

_CHUNK_TOLERANCE_S = 0.01


class FileConvention(ABC):
    """One way of scoring the lines of a prediction file. `prefix` marks its figures."""

    prefix: ClassVar[str]

    @abstractmethod
    def score(self, pairs: Pairs) -> Figures:
        """Return the figures of each query.

        Raises:
            ValueError: naming lines that cannot be scored, or would be scored wrongly.
        """

    def arrange(self, figures: Figures) -> dict[str, Any]:
        """Return the figures of the file as JSON, in percent with two decimals."""
        return {name: to_percent(mean) for name, mean in compute_means(figures).items()}


class QVHighlightsFiles(FileConvention):
    """Moments and highlights, each if the file has them."""

    prefix = "qvhighlights_"

    def score(self, pairs: Pairs) -> Figures:
        """Return the figures of moments if there are windows, and of highlights if there is saliency."""
        figures: dict[str, Any] = {}
        if pairs.predictions[0].windows is not None:
            windows = pairs.read_windows()
            _refuse_empty_unions(pairs)
            figures |= QVHighlightsConvention().compute_figures(windows, pairs.truth)
        if pairs.predictions[0].saliency is not None:
            figures |= compute_highlight_figures(*pairs.read_saliency())
        if not figures:
            raise ValueError(f"{pairs.predictions[0].place}: neither pred_relevant_windows nor pred_saliency_scores is given")
        return figures

    def arrange(self, figures: Figures) -> dict[str, Any]:
        """Return the groups of the public evaluator, `brief` first."""
        means = compute_means(figures)
        groups: dict[str, Any] = {}
        brief: dict[str, float] = {}
        if "mIoU" in means:
            groups = {length: _arrange_moments(means, length) for length in (FULL, *RANGES)}
            brief = dict(sorted(_brief_moments(groups).items()))
        for name in MIN_RATINGS if "highlight_fair_mAP" in means else ():
            title = name.title().replace("_", "")
            values = {"HL-mAP": means[f"highlight_{name}_mAP"], "HL-Hit1": means[f"highlight_{name}_hit1"]}
            groups[f"HL-min-{title}"] = {key: to_percent(value) for key, value in values.items()}
            brief |= {f"HL-min-{title}-{key[3:]}": to_percent(value) for key, value in values.items()}
        return {"brief": brief} | dict(sorted(groups.items()))


@dataclass(frozen=True)
class Tan2dFiles(FileConvention):
    """R@n at IoU above m. `max_iou` is the threshold of the suppression, None for windows that are only sorted by score."""

    prefix: ClassVar[str] = ""
    max_iou: float | None

    def score(self, pairs: Pairs) -> Figures:
        """Return R@{1, 5} at IoU {0.1, 0.3, 0.5, 0.7} and mIoU."""
        max_iou = 1.0 if self.max_iou is None else self.max_iou  # no IoU is above 1
        convention = Tan2dConvention(iou_rule=IoURule.ABOVE, max_iou=max_iou, thresholds=(0.1, 0.3, 0.5, 0.7))
        return convention.compute_figures(convention.rank(_require_windows(pairs).read_windows()), pairs.truth)


class DiDeMoFiles(FileConvention):
    """Ranks among the 21 runs of chunks, against several people."""

    prefix = "didemo_"

    def score(self, pairs: Pairs) -> Figures:
        """Return Rank@1, Rank@5 and mIoU."""
        windows = _require_windows(pairs).read_windows()
        _refuse_other_segments(pairs)
        convention, people = DiDeMoConvention(), pairs.people
        answers = convention.rank(windows)
        asked, found = encode_segments(people.spans), np.where(answers.valid, encode_segments(answers.spans), -1)
        _refuse(pairs, (people.mask & ~(asked[:, :, None] == found[:, None]).any(axis=2)).any(axis=1), _NOT_RANKED)
        return convention.compute_figures(answers, people)


@dataclass(frozen=True)
class TvrFiles(FileConvention):
    """Recall in the given video, over all videos and of videos, each if the file has it."""

    prefix: ClassVar[str] = "tvr_"
    max_iou: float | None

    def score(self, pairs: Pairs) -> Figures:
        """Return `SVMR_...`, `VCMR_...` and `VR_...`."""
        convention, first = TvrConvention(max_iou=self.max_iou), pairs.predictions[0]
        needed = count_needed(np.array([len(query.annotators) for query in pairs.queries]))
        figures: dict[str, Any] = {}
        if first.windows is not None:
            answers = convention.rank(pairs.read_windows())
            figures |= _prefix("SVMR", convention.compute_recall(answers.spans, answers.valid, pairs.people, needed))
        if first.moments is not None:
            spans, videos, own = pairs.read_collection_moments()
            figures |= _prefix("VCMR", convention.compute_recall(spans, videos == own[:, None], pairs.people, needed))
        if first.videos is not None:
            figures |= _prefix("VR", convention.compute_video_figures(*pairs.read_videos()))
        if not figures:
            raise ValueError(f"{first.place}: none of pred_relevant_windows, pred_collection_moments and pred_videos is given")
        return figures

    def arrange(self, figures: Figures) -> dict[str, Any]:
        """Return one group per task, with the keys of the public evaluator: `0.5-r1` at an IoU, `r1` of videos."""
        groups: dict[str, dict[str, float]] = {}
        for name, mean in compute_means(figures).items():
            task, rank, *iou = name.split("_")
            key = "-".join([*(part.removeprefix("iou") for part in iou), rank.replace("R", "r")])
            groups.setdefault(task, {})[key] = to_percent(mean)
        return groups


def to_percent(share: float) -> float:
    """Return a share in percent with two decimals, and 0 for an empty mean, like the public evaluator."""
    return float(f"{100 * share:.2f}") if not np.isnan(share) else 0.0


def _prefix(task: str, figures: Figures) -> dict[str, Any]:
    return {f"{task}_{name}": values for name, values in figures.items()}


def _arrange_moments(means: Mapping[str, float], length: str) -> dict[str, Any]:
    if np.isnan(means[name_figure(length, "mIoU")]):
        warnings.warn(f"no query has a {length} moment; its figures are 0, as the public evaluator gives them", stacklevel=2)
    precision = {f"{threshold:g}": means[name_figure(length, f"mAP_iou{threshold:g}")] for threshold in AP_THRESHOLDS}
    precision["average"] = float(np.mean(list(precision.values())))
    recall = {f"{threshold:g}": means[name_figure(length, f"R1_iou{threshold:g}")] for threshold in R1_THRESHOLDS}
    return {
        "MR-mIoU": to_percent(means[name_figure(length, "mIoU")]),
        "MR-mAP": {key: to_percent(value) for key, value in precision.items()},
        "MR-R1": {key: to_percent(value) for key, value in recall.items()},
    }


def _brief_moments(groups: Mapping[str, Any]) -> dict[str, float]:
    full = groups[FULL]
    brief = {f"MR-{length}-mAP": of_length["MR-mAP"]["average"] for length, of_length in groups.items()}
    brief |= {f"MR-full-mAP@{key}": full["MR-mAP"][key] for key in ("0.5", "0.75")}
    brief |= {f"MR-full-R1@{key}": full["MR-R1"][key] for key in ("0.3", "0.5", "0.7")}
    return brief | {"MR-full-mIoU": full["MR-mIoU"]}


_NOT_RANKED = "a person's moment is not among the windows; DiDeMo ranks all 21 runs of chunks of 5 s"


def _require_windows(pairs: Pairs) -> Pairs:
    if pairs.predictions[0].windows is None:
        raise ValueError(f"{pairs.predictions[0].place}: pred_relevant_windows is missing")
    return pairs


def _refuse_empty_unions(pairs: Pairs) -> None:
    """Refuse reversed windows as long as a true moment: their union is empty, which the public evaluator counts as a hit."""
    windows, truth = pairs.read_windows(), pairs.truth
    lengths_s = np.where(windows.valid, windows.spans[..., 1] - windows.spans[..., 0], 0.0)  # (Q, K)
    true_s = truth.spans[..., 1] - truth.spans[..., 0]  # (Q, G)
    empty = (lengths_s[:, :10, None] + true_s[:, None] == 0) & truth.mask[:, None]
    _refuse(
        pairs,
        empty.any(axis=(1, 2)),
        "a reversed window is as long as a true moment, which the public evaluator counts as a hit; correct it",
    )


def _refuse_other_segments(pairs: Pairs) -> None:
    """Refuse windows that are not runs of chunks. A window may end within the last chunk, where its video ends."""
    windows = pairs.read_windows()
    starts, ends = windows.spans[..., 0] / CHUNK_S, windows.spans[..., 1] / CHUNK_S
    off = np.abs(starts - np.rint(starts)) > _CHUNK_TOLERANCE_S
    last = (ends > NUM_CHUNKS - 1) & (ends <= NUM_CHUNKS)
    off |= (np.abs(ends - np.rint(ends)) > _CHUNK_TOLERANCE_S) & ~last
    off |= (starts < 0) | (np.rint(ends) > NUM_CHUNKS) | (np.rint(ends) <= np.rint(starts))
    _refuse(pairs, (off & windows.valid).any(axis=1), "a window is not a run of whole chunks of 5 s within 30 s")


def _refuse(pairs: Pairs, wrong: Bools, why: str) -> None:
    if wrong.any():
        raise ValueError(f"{why}: {name_some(pairs.predictions[row].place for row in np.flatnonzero(wrong))}")


CONVENTIONS: Mapping[str, Callable[[float | None], FileConvention]] = MappingProxyType(
    {
        "2d-tan": Tan2dFiles,
        "didemo": lambda _: DiDeMoFiles(),
        "qvhighlights": lambda _: QVHighlightsFiles(),
        "tvr": TvrFiles,
    }
)
