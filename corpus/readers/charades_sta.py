"""Reads Charades-STA: lines `VIDEO start end##sentence`, with the lengths of the videos from Charades.

As in 2D-TAN and its successors, an end after the video is clipped to the length in the CSV file, and a row that then starts
at or after its end is dropped: 12,404 of 12,408 training rows remain. All other deviations are errors: a line of another
form, times that are not numbers from 0, a video without a length, a sentence without words.
The data set has no validation split.
Source: Gao et al. 2017 (arXiv:1705.02101).
"""

import re
from pathlib import Path
from typing import Literal

from corpus.readers.base import Reader, ReaderParams, ReadResult
from corpus.readers.parsing.collector import Collector, TimedSentence
from corpus.readers.parsing.schema import show
from corpus.readers.parsing.tables import Table
from corpus.readers.parsing.text import iter_lines, read_text
from corpus.readers.parsing.times import parse_time
from corpus.records import TEST, TRAIN

_LINE = re.compile(r"\s*(?P<video>\S+)\s+(?P<start>\S+)\s+(?P<end>[^\s#]+)\s*##(?P<text>.*)")
_SENTENCES = "it is the annotation of Charades-STA, github.com/jiyanggao/TALL"
_LENGTHS = "it is part of the annotations of Charades, prior.allenai.org/projects/charades"


class CharadesSTAReader(Reader):
    """Reads `charades_sta_{train,test}.txt` and `Charades_v1_{train,test}.csv`."""

    def read(self, root: Path) -> ReadResult:
        """Read both splits."""
        collector = Collector(root)
        for split in (TRAIN, TEST):
            durations_s = self._read_durations(root / f"Charades_v1_{split}.csv", collector)
            path = root / f"charades_sta_{split}.txt"
            for number, line in iter_lines(read_text(path, origin=_SENTENCES)):
                row = f"{path.name} line {number}"
                with collector.reading(row):
                    sentence = self._parse(line, qid=f"{split}-{number}", split=split)
                    if sentence.video_id not in durations_s:
                        table = f"Charades_v1_{split}.csv"
                        raise ValueError(
                            f"the video {sentence.video_id!r} has no row in {table}; add its length there, or remove this line"
                        )
                    collector.add_timed(sentence, row, duration_s=durations_s[sentence.video_id])
                    collector.add_duration(sentence.video_id, durations_s[sentence.video_id])
        return collector.finish(empty=f"charades_sta_train.txt and charades_sta_test.txt in {root} hold no lines")

    def _parse(self, line: str, *, qid: str, split: str) -> TimedSentence:
        match = _LINE.fullmatch(line)
        if not match:
            raise ValueError(f"a line must be VIDEO start end##sentence, got {show(line)}")
        start_s, end_s = (parse_time(match[name]) for name in ("start", "end"))
        return TimedSentence(qid, self.name_video(match["video"]), match["text"], start_s, end_s, split)

    def _read_durations(self, path: Path, collector: Collector) -> dict[str, float]:
        """Return the length in seconds of each video, from the columns `id` and `length`."""
        durations_s: dict[str, float] = {}
        for number, cells in Table(path, required=("id", "length"), origin=_LENGTHS):
            with collector.reading(f"{path.name} line {number}"):
                video_id, duration_s = self.name_video(cells["id"]), parse_time(cells["length"])
                if duration_s == 0:
                    raise ValueError(f"the video {video_id!r} has the length 0; correct it")
                if video_id in durations_s:
                    raise ValueError(f"the video {video_id!r} has a second length; remove one")
                durations_s[video_id] = duration_s
        return durations_s


class CharadesSTAParams(ReaderParams):
    """Empty schema: the reader has no values."""

    name: Literal["charades_sta"]

    def build(self) -> Reader:
        """Return the reader."""
        return CharadesSTAReader()
