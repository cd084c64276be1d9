"""The two tables that the data gate looks at: one row per video, one row per query."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from corpus.files import read_jsonl
from corpus.text import tokenize

Row = Mapping[str, Any]

VIDEO_COLUMNS = (
    *("video_id", "path", "split", "duration_s", "fps", "num_frames", "width", "height", "rotation"),
    *("codec", "has_audio", "sha256", "splits_of_content"),
)
QUERY_COLUMNS = (
    *("qid", "video_id", "text", "split", "source", "video_split", "video_duration_s", "num_words", "num_moments"),
    *("first_start_s", "last_end_s", "shortest_moment_s", "elsewhere_outside_split"),
)


class CorpusTables(NamedTuple):
    """What was read from `data/corpus/`, whether it makes sense or not."""

    videos: pd.DataFrame
    queries: pd.DataFrame


def load_tables(folder: Path) -> CorpusTables:
    """Read videos and queries as they are written: what is wrong with a row is the gate's to say, not the parser's."""
    videos = [row for _, row in read_jsonl(folder / "videos.jsonl")]
    queries = [row for _, row in read_jsonl(folder / "queries.jsonl")]
    return CorpusTables(_tabulate_videos(videos), _tabulate_queries(queries, videos))


def _tabulate_videos(videos: Sequence[Row]) -> pd.DataFrame:
    splits: dict[Any, set[str]] = defaultdict(set)
    for video in videos:
        splits[video.get("sha256")].add(str(video.get("split")))
    rows = [{**video, "splits_of_content": len(splits[video.get("sha256")])} for video in videos]
    return pd.DataFrame(rows, columns=list(VIDEO_COLUMNS))


def _tabulate_queries(queries: Sequence[Row], videos: Sequence[Row]) -> pd.DataFrame:
    video_of = {video.get("video_id"): video for video in videos}
    rows = [{**query, **_derive(query, video_of)} for query in queries]
    return pd.DataFrame(rows, columns=list(QUERY_COLUMNS))


def _derive(query: Row, video_of: Mapping[Any, Row]) -> dict[str, Any]:
    video = video_of.get(query.get("video_id"), {})
    spans = query.get("spans") or []
    outside = [name for name in query.get("elsewhere") or {} if video_of.get(name, {}).get("split") != query.get("split")]
    return {
        "video_split": video.get("split"),
        "video_duration_s": video.get("duration_s"),
        "num_words": _count_words(str(query.get("text") or "")),
        "num_moments": len(spans),
        "first_start_s": min((start for start, _ in spans), default=None),
        "last_end_s": max((end for _, end in spans), default=None),
        "shortest_moment_s": min((end - start for start, end in spans), default=None),
        "elsewhere_outside_split": len(outside),
    }


def _count_words(text: str) -> int:
    try:
        return len(tokenize(text))
    except ValueError:
        return 0
