"""Reads ActivityNet Captions: {video: {duration, timestamps: [[start, end], ...], sentences: [...]}}, in seconds.

The field trains on `train`, selects on `val_1` and reports `val_2`: the splits train, val and test. `val_2` annotates
videos of `val_1` again, so a model would be selected on its own test videos. If a video is in both, the pipeline leaves out
its rows of `val_1` and lists them: 32 of 4,917 videos remain.
As in 2D-TAN, an end after the video is clipped to `duration`, and a row that then starts at or after its end is dropped:
37,417 of 37,421 training rows remain. All other defects are errors: times that are not numbers from 0, unequal numbers of
times and sentences, a sentence without words, a video twice in a file.
Source: Krishna et al. 2017 (arXiv:1705.00754).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Literal

from corpus.readers.base import Reader, ReaderParams, ReadResult
from corpus.readers.parsing.collector import Collector
from corpus.readers.parsing.schema import Duration, Window
from corpus.readers.parsing.timed_sentences import TimedSentences, collect_videos, find_file
from corpus.records import TEST, TRAIN, VALIDATION

_FILES = {TRAIN: ("train.json",), VALIDATION: ("val_1.json", "val.json"), TEST: ("val_2.json", "test.json")}
_ORIGIN = "it is in captions.zip of ActivityNet Captions, cs.stanford.edu/people/ranjaykrishna/densevid"


class _Sentences(TimedSentences):
    duration: Duration
    timestamps: list[Window]

    @property
    def duration_s(self) -> float:
        return self.duration

    @property
    def moments_s(self) -> Sequence[tuple[float, float]]:
        return self.timestamps


class ActivityNetCaptionsReader(Reader):
    """Reads `train.json`, `val_1.json` and `val_2.json`. 2D-TAN's names of the latter, `val.json` and `test.json`, work too."""

    reannotated: ClassVar = {VALIDATION: TEST}

    def read(self, root: Path) -> ReadResult:
        """Read the three splits."""
        collector = Collector(root)
        for split, names in _FILES.items():
            collect_videos(collector, find_file(root, names), _Sentences, reader=self, split=split, origin=_ORIGIN)
        return collector.finish(empty=f"the files in {root} hold no sentences")


class ActivityNetCaptionsParams(ReaderParams):
    """Empty schema: the reader has no values."""

    name: Literal["activitynet_captions"]

    def build(self) -> Reader:
        """Return the reader."""
        return ActivityNetCaptionsReader()
