"""Reads DiDeMo: a list of sentences, each with segments of 5 s from several annotators: `times: [[first, last], ...]`.

The pair (1, 4) is [5, 25) s. A last segment that ends after its video is clipped once the length of the video is known.
The moment of each annotator becomes one of the query's `annotators`. DiDeMo has no single true moment: its evaluation
averages over the three annotators who agree best with an answer. The span of a query is the consensus under that rule: the
annotated moment with the highest mean IoU with its three best annotators. Ties go to the more frequent, then the earlier,
then the shorter moment. If three annotators agree, their moment wins.
Nothing is dropped or clipped here; a row that deviates from the published format is an error.
Source: Hendricks et al. 2017 (arXiv:1708.01641), section 4, and its evaluation code.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, StrictInt

from corpus.moments import Moment, compute_iou
from corpus.readers.base import Reader, ReaderParams, ReadResult
from corpus.readers.parsing.collector import Collector
from corpus.readers.parsing.schema import parse_row, show
from corpus.readers.parsing.text import read_json_file
from corpus.records import TEST, TRAIN, VALIDATION, Query

_SEGMENT_S = 5.0
_NUM_BEST = 3  # annotators that DiDeMo's evaluation averages over
_ORIGIN = "it is in data/ of github.com/LisaAnne/LocalizingMoments"

Segment = Annotated[int, Field(strict=True, ge=0, le=5)]  # a video was cut to 30 s


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True)

    annotation_id: Annotated[str, Field(min_length=1)] | StrictInt
    description: str
    video: str = Field(min_length=1)
    times: list[tuple[Segment, Segment]] = Field(min_length=1)

    def to_query(self, *, video_id: str, split: str) -> Query:
        for first, last in self.times:
            if first > last:
                raise ValueError(f"times: the first segment {first} is after the last one {last}")
        moments = [Moment(_SEGMENT_S * first, _SEGMENT_S * (last + 1)) for first, last in self.times]
        return Query(
            qid=f"{split}-{self.annotation_id}",
            video_id=video_id,
            text=self.description.strip(),
            spans=(find_consensus(moments),),
            split=split,
            annotators=tuple((moment,) for moment in moments),
        )


class DiDeMoReader(Reader):
    """Reads `{train,val,test}_data.json`."""

    granularity_s: ClassVar = _SEGMENT_S

    def read(self, root: Path) -> ReadResult:
        """Read the three splits."""
        collector = Collector(root)
        for split in (TRAIN, VALIDATION, TEST):
            path = root / f"{split}_data.json"
            content = read_json_file(path, origin=_ORIGIN)
            if not isinstance(content, list):
                raise ValueError(f"{path} must hold a list of sentences, got {show(content)}")
            for number, values in enumerate(content, start=1):
                row = f"{path.name} item {number}"
                with collector.reading(row):
                    parsed = parse_row(_Row, values)
                    collector.add(parsed.to_query(video_id=self.name_video(parsed.video), split=split), row)
        return collector.finish(empty=f"the files in {root} hold no sentences")


class DiDeMoParams(ReaderParams):
    """Empty schema: the reader has no values."""

    name: Literal["didemo"]

    def build(self) -> Reader:
        """Return the reader."""
        return DiDeMoReader()


def find_consensus(moments: Sequence[Moment]) -> Moment:
    """Return the moment with the highest mean IoU with its three best-agreeing moments, itself included."""
    spans = np.array([(moment.start_s, moment.end_s) for moment in moments], dtype=np.float64)
    agreement = np.sort(compute_iou(spans, spans), axis=1)[:, -_NUM_BEST:].mean(axis=1)
    ranked = sorted(zip(-agreement.round(9), [-moments.count(moment) for moment in moments], moments, strict=True))
    return ranked[0][2]
