"""Checks of annotations: counts them and validates them against the lengths and splits of their videos."""

from collections import Counter, defaultdict
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from corpus.moments import Moment
from corpus.readers.base import ReadResult, RowNote
from corpus.records import Query

MAX_EXCESS_S = 1.0  # a moment may end this much after its video,
MAX_EXCESS_SHARE = 0.05  # or this share of its length, and is then clipped
_MAX_NAMED = 20


def name_some(names: Iterable[str], separator: str = ", ") -> str:
    """Join names for a message, the first twenty of them."""
    listed = list(names)
    more = f"{separator}... and {len(listed) - _MAX_NAMED} more" if len(listed) > _MAX_NAMED else ""
    return separator.join(listed[:_MAX_NAMED]) + more


def summarize_annotations(annotations: ReadResult) -> dict[str, Any]:
    """Count the annotations of each published split before any hold-out, and list dropped and clipped rows."""
    splits: dict[str, list[Query]] = {split: [] for split in annotations.num_rows}
    for query in annotations.queries:
        splits[query.split].append(query)
    dropped, clipped = (Counter(note.split for note in notes) for notes in (annotations.dropped, annotations.clipped))
    return {
        "splits": {
            split or "(none published)": {
                "rows": annotations.num_rows[split],
                "dropped": dropped[split],
                "clipped": clipped[split],
                **_count_queries(queries),
            }
            for split, queries in splits.items()
        },
        "videos_in_two_splits": _count_shared_videos(annotations.queries),
        "dropped": [note.to_json() for note in annotations.dropped],
        "clipped": [note.to_json() for note in annotations.clipped],
    }


def correct_frame_rates(queries: Sequence[Query], fps: Mapping[str, float], *, assumed_fps: float) -> list[Query]:
    """Rescale moments that a reader converted from frames at an assumed rate to the real frame rate of each video."""

    def correct(moment: Moment, video_id: str) -> Moment:
        factor = assumed_fps / fps[video_id]
        return Moment(moment.start_s * factor, moment.end_s * factor)

    return [_change_moments(query, correct, known=fps) for query in queries]


def fit_moments(
    queries: Sequence[Query], durations_s: Mapping[str, float], rows: Mapping[str, str], *, granularity_s: float = 0.0
) -> tuple[list[Query], list[RowNote]]:
    """Clip moments that end slightly after their video, and list them. Moments of videos without a length are left out.

    `granularity_s` is the length of the segments that the times are rounded to, or 0.

    Raises:
        ValueError: naming the row of every moment outside its video.
    """

    def fit(moment: Moment, video_id: str) -> Moment:
        return _fit_moment(moment, video_id, durations_s[video_id], granularity_s)

    fitted: list[Query] = []
    clipped: list[RowNote] = []
    errors: list[str] = []
    for query in queries:
        try:
            fitted.append(_change_moments(query, fit, known=durations_s))
        except ValueError as error:
            errors.append(f"{rows[query.qid]} (qid {query.qid}): {error}")
            continue
        if fitted[-1] != query:
            clipped.append(RowNote(rows[query.qid], query.qid, _describe_clipping(query, fitted[-1]), query.split))
    if errors:
        raise ValueError(name_some(errors, separator="\n") + "\ncorrect these times in the annotations, or remove the rows")
    return fitted, clipped


def keep_elsewhere_in_split(
    queries: Sequence[Query], splits: Mapping[str, str], rows: Mapping[str, str]
) -> tuple[list[Query], list[RowNote]]:
    """Give every query the split of its video, and drop moments in videos of other splits. List the dropped ones by row."""
    kept: list[Query] = []
    notes: list[RowNote] = []
    for query in queries:
        split = splits[query.video_id]
        elsewhere = {video_id: spans for video_id, spans in query.elsewhere.items() if splits.get(video_id) == split}
        left_out = [video_id for video_id in query.elsewhere if video_id not in elsewhere]
        kept.append(replace(query, split=split, elsewhere=elsewhere))
        if left_out:
            reason = f"its moments in {name_some(left_out)} are left out: not in the split {split}"
            notes.append(RowNote(rows[query.qid], query.qid, reason, query.split))
    return kept, notes


def _count_queries(queries: Sequence[Query]) -> dict[str, int]:
    return {
        "queries": len(queries),
        "videos": len({query.video_id for query in queries}),
        "moments": sum(len(query.spans) for query in queries),
        "queries_with_several_moments": sum(len(query.spans) > 1 for query in queries),
        "queries_with_saliency": sum(bool(query.saliency) for query in queries),
        "queries_with_annotators": sum(bool(query.annotators) for query in queries),
    }


def _count_shared_videos(queries: Iterable[Query]) -> dict[str, int]:
    splits: dict[str, set[str]] = defaultdict(set)
    for query in queries:
        splits[query.video_id].add(query.split)
    return dict(Counter(" and ".join(sorted(names)) for names in splits.values() if len(names) > 1))


def _change_moments(query: Query, change: Callable[[Moment, str], Moment], *, known: Container[str]) -> Query:
    """Apply `change` to each moment of a query and its video; moments of unknown videos are left out."""

    def change_all(moments: Iterable[Moment], video_id: str) -> tuple[Moment, ...]:
        return tuple(change(moment, video_id) for moment in moments)

    return replace(
        query,
        spans=change_all(query.spans, query.video_id),
        annotators=tuple(change_all(spans, query.video_id) for spans in query.annotators),
        elsewhere={video_id: change_all(spans, video_id) for video_id, spans in query.elsewhere.items() if video_id in known},
    )


def _fit_moment(moment: Moment, video_id: str, duration_s: float, granularity_s: float) -> Moment:
    if moment.end_s <= duration_s:
        return moment
    allowed_s = max(MAX_EXCESS_S, MAX_EXCESS_SHARE * duration_s, granularity_s)
    if moment.start_s >= duration_s or moment.end_s > duration_s + allowed_s:
        raise ValueError(f"the moment [{moment.start_s}, {moment.end_s}] is outside the video {video_id!r} of {duration_s:.2f} s")
    return Moment(moment.start_s, duration_s)


def _describe_clipping(before: Query, after: Query) -> str:
    ends = [f"{old.end_s} -> {new.end_s}" for old, new in zip(before.spans, after.spans, strict=True) if old.end_s != new.end_s]
    return f"ends after the video: {name_some(ends) or 'moments of an annotator or of another video'}"
