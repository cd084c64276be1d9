"""Annotations held against the videos they speak of: every moment lies inside its video and its split."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from corpus.moments import Moment
from corpus.readers.base import RowNote
from corpus.records import Query

MAX_EXCESS_S = 1.0  # a moment may end this much after its video,
MAX_EXCESS_SHARE = 0.05  # or this share of its length, and is then clipped
_MAX_NAMED = 20


def name_some(names: Iterable[str], separator: str = ", ") -> str:
    """Join names for a message, the first twenty of them."""
    listed = list(names)
    more = f"{separator}... and {len(listed) - _MAX_NAMED} more" if len(listed) > _MAX_NAMED else ""
    return separator.join(listed[:_MAX_NAMED]) + more


def fit_moments(
    queries: Sequence[Query], durations_s: Mapping[str, float], rows: Mapping[str, str]
) -> tuple[list[Query], list[RowNote]]:
    """Clip moments that end slightly after their video, and list them; moments of videos without a length are left out.

    Raises:
        ValueError: naming the row of every moment that is outside its video.
    """
    fitted: list[Query] = []
    clipped: list[RowNote] = []
    errors: list[str] = []
    for query in queries:
        try:
            fitted.append(_fit_query(query, durations_s))
        except ValueError as error:
            errors.append(f"{rows[query.qid]} (qid {query.qid}): {error}")
            continue
        if fitted[-1] != query:
            clipped.append(RowNote(rows[query.qid], query.qid, _describe_clipping(query, fitted[-1])))
    if errors:
        raise ValueError(name_some(errors, separator="\n") + "\ncorrect these times in the annotations, or remove the rows")
    return fitted, clipped


def keep_elsewhere_in_split(
    queries: Sequence[Query], splits: Mapping[str, str], rows: Mapping[str, str]
) -> tuple[list[Query], list[RowNote]]:
    """Give every query the split of its video, and drop its moments in videos of other splits, listed by row."""
    kept: list[Query] = []
    notes: list[RowNote] = []
    for query in queries:
        split = splits[query.video_id]
        elsewhere = {video_id: spans for video_id, spans in query.elsewhere.items() if splits.get(video_id) == split}
        left_out = [video_id for video_id in query.elsewhere if video_id not in elsewhere]
        kept.append(replace(query, split=split, elsewhere=elsewhere))
        if left_out:
            reason = f"its moments in {name_some(left_out)} are left out: not in the split {split}"
            notes.append(RowNote(rows[query.qid], query.qid, reason))
    return kept, notes


def _fit_query(query: Query, durations_s: Mapping[str, float]) -> Query:
    def fit(video_id: str) -> Callable[[Moment], Moment]:
        return lambda moment: _fit_moment(moment, video_id, durations_s[video_id])

    own = fit(query.video_id)
    return replace(
        query,
        spans=tuple(map(own, query.spans)),
        annotators=tuple(tuple(map(own, spans)) for spans in query.annotators),
        elsewhere={
            video_id: tuple(map(fit(video_id), spans)) for video_id, spans in query.elsewhere.items() if video_id in durations_s
        },
    )


def _fit_moment(moment: Moment, video_id: str, duration_s: float) -> Moment:
    if moment.end_s <= duration_s:
        return moment
    allowed_s = max(MAX_EXCESS_S, MAX_EXCESS_SHARE * duration_s)
    if moment.start_s >= duration_s or moment.end_s > duration_s + allowed_s:
        raise ValueError(f"the moment [{moment.start_s}, {moment.end_s}] is outside the video {video_id!r} of {duration_s:.2f} s")
    return Moment(moment.start_s, duration_s)


def _describe_clipping(before: Query, after: Query) -> str:
    ends = [f"{old.end_s} -> {new.end_s}" for old, new in zip(before.spans, after.spans, strict=True) if old.end_s != new.end_s]
    return f"ends after the video: {name_some(ends) or 'moments of an annotator or of another video'}"
