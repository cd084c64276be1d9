"""Builds the report page: one self-contained HTML file that works offline, on a desktop and on a phone."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from corpus.media import Images
from corpus.page_template import load_template
from evaluation.answers import HIT_IOU, Answer
from evaluation.report.diagrams import ROW_COLOURS, WAY_LABELS
from evaluation.report.pictures import encode_jpeg
from evaluation.tables.scores import HEADLINE, LOCALIZER, Scoring
from models.metrics.tan2d import MEAN_IOU, name_recall

ROW_LABELS = {
    LOCALIZER: "localizer",
    "blind": "text only (blind)",
    "prior": "most frequent moments",
    "whole_video": "whole video",
    "shuffled": "another video",
    "chance": "chance",
}
_ROW_NOTES = {
    LOCALIZER: "reads the video and the sentence",
    "blind": "a trained model that never sees the video",
    "prior": "the most frequent spans of training, the same for every sentence",
    "whole_video": "from the first second to the last",
    "shuffled": "the localizer, looking at another video of the split",
    "chance": "exact expectation over all cells of the grid in random order, without suppression",
}
_COLUMN_LABELS = {
    name_recall(1, 0.3): "R@1, IoU .3",
    name_recall(1, 0.5): "R@1, IoU .5",
    name_recall(1, 0.7): "R@1, IoU .7",
    name_recall(5, 0.5): "R@5, IoU .5",
    name_recall(5, 0.7): "R@5, IoU .7",
    MEAN_IOU: "mIoU",
}
_QVHIGHLIGHTS_LABELS = {
    name_recall(1, 0.5): "R@1, IoU .5",
    name_recall(1, 0.7): "R@1, IoU .7",
    "mAP_iou0.5": "mAP, IoU .5",
    "mAP_iou0.75": "mAP, IoU .75",
    "mAP_avg": "mAP",
    MEAN_IOU: "mIoU",
}
_COLLECTION_LABELS = {"R1": "first", "R10": "among ten", "R100": "among a hundred", "right_video": "its video at all"}


class Gallery(NamedTuple):
    """Answers to show under one title, chosen by one rule, with their film strips."""

    title: str
    rule: str
    answers: Sequence[Answer]
    strips: Sequence[Images | None]


@dataclass(frozen=True)
class ReportContent:
    """Everything that a page shows."""

    split: str
    scoring: Scoring
    summary: Mapping[str, Any]  # the split's group of `summary.json`
    estimates: Sequence[Mapping[str, Any]]  # the rows of `floors.csv`
    qvhighlights: Sequence[Mapping[str, Any]]  # the rows of `qvhighlights.csv`
    diagrams: Mapping[str, str]  # SVG by name
    slices: Sequence[Mapping[str, Any]]
    galleries: Sequence[Gallery]
    score_maps: Sequence[tuple[Answer, str]]  # with their SVG


def build_page(content: ReportContent) -> str:
    """Return the whole page."""
    template = load_template(Path(__file__).with_name("report.html"), {"percent": _percent, "span": _span, "times": _list_times})
    return template.render(
        content=content,
        summary=content.summary,
        ours=content.summary[LOCALIZER],
        collection=content.summary.get("collection"),
        presence=content.summary.get("presence"),
        way_labels=WAY_LABELS,
        headline=HEADLINE,
        mean_iou=MEAN_IOU,
        columns=_COLUMN_LABELS,
        rows=_list_rows(content.estimates),
        qvhighlights_columns=_QVHIGHLIGHTS_LABELS,
        qvhighlights_rows=_list_rows(content.qvhighlights),
        collection_labels=_COLLECTION_LABELS,
        best_floor=ROW_LABELS[content.summary["best_floor"]],
        colours=ROW_COLOURS,
        hit_iou=HIT_IOU,
        diagrams={name: _inline(svg.encode(), "image/svg+xml") for name, svg in content.diagrams.items()},
        score_maps=[{"answer": answer, "image": _inline(svg.encode(), "image/svg+xml")} for answer, svg in content.score_maps],
        galleries=[(gallery, _list_cards(gallery)) for gallery in content.galleries if gallery.answers],
    )


def _list_rows(estimates: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the lines of the headline table, each with its estimates by figure."""
    return [
        {
            "name": name,
            "label": label,
            "note": _ROW_NOTES[name],
            "reason": next((row["reason"] for row in estimates if row["row"] == name), ""),
            "figures": {row["figure"]: row for row in estimates if row["row"] == name and row["figure"]},
        }
        for name, label in ROW_LABELS.items()
    ]


def _list_cards(gallery: Gallery) -> list[dict[str, Any]]:
    return [
        {
            "answer": answer,
            "truth": [_place(moment.start_s, moment.end_s, answer) for moment in answer.query.spans],
            "found": [_place(float(start), float(end), answer) for start, end in answer.spans[:1]],
            "strip": None if strip is None else _inline(encode_jpeg(strip), "image/jpeg"),
        }
        for answer, strip in zip(gallery.answers, gallery.strips, strict=True)
    ]


def _place(start_s: float, end_s: float, answer: Answer) -> dict[str, float]:
    """Return a span with its place under the strip, in percent of the video."""
    share = 100 / answer.video.duration_s
    return {"start_s": start_s, "end_s": end_s, "left": share * start_s, "width": share * (end_s - start_s)}


def _inline(content: bytes, media_type: str) -> str:
    return f"data:{media_type};base64,{base64.b64encode(content).decode()}"


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f}"


def _span(figures: Mapping[str, Any], prefix: str = "") -> str:
    low, high = figures[f"{prefix}low"], figures[f"{prefix}high"]
    return "no interval" if low is None or high is None else f"[{100 * low:.1f}, {100 * high:.1f}]"


def _list_times(spans: Sequence[Mapping[str, float]]) -> str:
    return ", ".join(f"{span['start_s']:.1f}–{span['end_s']:.1f} s" for span in spans) or "nothing"
