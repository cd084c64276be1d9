"""Reads TACoS as 2D-TAN publishes it: {video: {fps, num_frames, timestamps: [[first, end], ...], sentences: [...]}}, in frames.

The video's `fps` converts frames to seconds; the length is `num_frames / fps`. As in 2D-TAN, ends are clipped to the length
and rows that are then empty are dropped; the published files have no such row. Other defects are errors, as in ActivityNet
Captions. The files name videos with suffix (`s17-d69.avi`), records without it (`s17-d69`).
Source: Regneri et al. 2013 (TACL 1); the splits of Gao et al. 2017 (arXiv:1705.02101).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from corpus.readers.base import Reader, ReaderParams, ReadResult
from corpus.readers.parsing.collector import Collector
from corpus.readers.parsing.schema import Frame
from corpus.readers.parsing.timed_sentences import TimedSentences, collect_videos
from corpus.records import TEST, TRAIN, VALIDATION

_ORIGIN = "it is in data/TACoS of 2D-TAN, github.com/microsoft/VideoX"


class _Sentences(TimedSentences):
    fps: Annotated[float, Field(strict=True, ge=1, le=1000, allow_inf_nan=False)]
    num_frames: Annotated[int, Field(strict=True, gt=0, le=10**9)]
    timestamps: list[tuple[Frame, Frame]]

    @property
    def duration_s(self) -> float:
        return self.num_frames / self.fps

    @property
    def moments_s(self) -> Sequence[tuple[float, float]]:
        return [(first / self.fps, end / self.fps) for first, end in self.timestamps]


class TACoSReader(Reader):
    """Reads `train.json`, `val.json` and `test.json`."""

    def read(self, root: Path) -> ReadResult:
        """Read the three splits."""
        collector = Collector(root)
        for split in (TRAIN, VALIDATION, TEST):
            collect_videos(collector, root / f"{split}.json", _Sentences, reader=self, split=split, origin=_ORIGIN)
        return collector.finish(empty=f"the files in {root} hold no sentences")


class TACoSParams(ReaderParams):
    """Empty schema: the reader has no values."""

    name: Literal["tacos"]

    def build(self) -> Reader:
        """Return the reader."""
        return TACoSReader()
