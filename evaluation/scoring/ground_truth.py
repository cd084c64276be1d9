"""Reads the truth that predictions are scored against: a file of QVHighlights lines, a corpus, or the folder of a reader."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from corpus.readers import build_reader
from corpus.readers.parsing.collector import Collector
from corpus.readers.parsing.highlights import HighlightRow
from corpus.readers.parsing.schema import Window, parse_row
from corpus.readers.parsing.text import iter_lines, parse_json, read_text
from corpus.records import Query, load_corpus, to_moments


@dataclass(frozen=True)
class GroundTruth:
    """The queries to score, in the order of their rows, and the known lengths of their videos by qid."""

    name: str
    queries: tuple[Query, ...]
    durations_s: Mapping[str, float]


class _Row(HighlightRow):
    """A line of QVHighlights; `annotators` ([windows, ...]) holds each person's own windows."""

    annotators: list[list[Window]] = []


def read_ground_truth(path: Path, *, reader: str | None, split: str | None) -> GroundTruth:
    """Read the truth from a JSONL file, from a folder by a named reader, or from a folder that `ingest` wrote.

    Raises:
        ValueError: naming what is wrong with the rows, or the available splits.
    """
    if path.is_file():
        if reader or split:
            raise ValueError(f"{path} is a file: --reader and --split choose within a folder; leave them out")
        return _read_file(path)
    if reader:
        found = build_reader(reader).read(path)
        queries, by_video = found.queries, dict(found.durations_s)
    elif (path / "queries.jsonl").is_file():
        corpus = load_corpus(path)
        queries, by_video = corpus.queries, {video.video_id: video.duration_s for video in corpus.videos}
    else:
        raise ValueError(
            f"{path} is neither a JSONL file nor a folder with queries.jsonl as ingest writes it; name the --reader of its format"
        )
    durations_s = {query.qid: by_video[query.video_id] for query in queries if query.video_id in by_video}
    return GroundTruth(f"{path} ({split})" if split else str(path), _choose_split(queries, split, path), durations_s)


def _read_file(path: Path) -> GroundTruth:
    collector, durations_s = Collector(path.parent), {}
    for number, line in iter_lines(read_text(path, origin="give the file of the true moments")):
        with collector.reading(f"{path.name} line {number}"):
            row = parse_row(_Row, parse_json(line))
            if not row.relevant_windows:
                raise ValueError(f"qid {row.qid}: relevant_windows is missing or empty, so nothing can be scored against it")
            annotators = tuple(to_moments(windows) for windows in row.annotators)
            collector.add(row.to_query(video_id=row.vid, split="", annotators=annotators), f"{path.name} line {number}")
            durations_s[str(row.qid)] = row.duration
    return GroundTruth(str(path), collector.finish(empty=f"{path} holds no queries").queries, durations_s)


def _choose_split(queries: tuple[Query, ...], split: str | None, path: Path) -> tuple[Query, ...]:
    splits = sorted({query.split for query in queries})
    if split is None and len(splits) == 1:
        return queries
    if split not in splits:
        known = ", ".join(map(repr, splits))
        raise ValueError(f"{path} has the splits {known}; name one with --split" + (f", there is no {split!r}" if split else ""))
    return tuple(query for query in queries if query.split == split)
