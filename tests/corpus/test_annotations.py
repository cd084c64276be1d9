"""Moments against their videos: what is clipped, what is refused, what is left out, each listed by row."""

import pytest

from corpus.annotations import fit_moments, keep_elsewhere_in_split, name_some
from corpus.moments import Moment
from corpus.readers.base import RowNote
from corpus.records import Query

ROWS = {"q": "annotations.jsonl line 7"}


def query(*spans: tuple[float, float], **values: object) -> Query:
    return Query(qid="q", video_id="v", text="a dog", spans=tuple(Moment(*span) for span in spans), **values)  # type: ignore[arg-type]


def test_a_moment_inside_its_video_is_kept_and_not_listed() -> None:
    assert fit_moments([query((1, 10))], {"v": 10.0}, ROWS) == ([query((1, 10))], [])


@pytest.mark.parametrize(("end_s", "duration_s"), [(10.9, 10.0), (104.0, 100.0)])
def test_a_moment_that_ends_slightly_after_its_video_is_clipped_and_listed(end_s: float, duration_s: float) -> None:
    fitted, clipped = fit_moments([query((1, 2), (3, end_s))], {"v": duration_s}, ROWS)
    assert fitted == [query((1, 2), (3, duration_s))]
    assert clipped == [RowNote("annotations.jsonl line 7", "q", f"ends after the video: {end_s} -> {duration_s}")]


@pytest.mark.parametrize("span", [(10.0, 10.5), (12, 13), (1, 11.5)])
def test_a_moment_outside_its_video_is_refused_with_row_value_and_remedy(span: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match=r"line 7 \(qid q\): the moment \[.*\] is outside the video 'v' of 10.00 s") as caught:
        fit_moments([query(span)], {"v": 10.0}, ROWS)
    assert "correct these times in the annotations, or remove the rows" in str(caught.value)


def test_moments_of_annotators_and_other_videos_are_clipped_too_and_unknown_videos_left_out() -> None:
    before = query((1, 2), annotators=((Moment(1, 10.5),),), elsewhere={"w": (Moment(4, 5.5),), "gone": (Moment(0, 1),)})
    (after,), clipped = fit_moments([before], {"v": 10.0, "w": 5.0}, ROWS)
    assert after.annotators == ((Moment(1, 10.0),),)
    assert after.elsewhere == {"w": (Moment(4, 5.0),)}
    assert len(clipped) == 1


def test_a_query_gets_its_videos_split_and_keeps_only_moments_of_that_split() -> None:
    before = query((1, 2), elsewhere={"same": (Moment(0, 1),), "other": (Moment(0, 1),)})
    (after,), notes = keep_elsewhere_in_split([before], {"v": "test", "same": "test", "other": "train"}, ROWS)
    assert (after.split, set(after.elsewhere)) == ("test", {"same"})
    assert notes == [RowNote(ROWS["q"], "q", "its moments in other are left out: not in the split test")]


def test_long_lists_of_names_are_cut_and_counted() -> None:
    assert name_some(["a", "b"]) == "a, b"
    assert name_some(map(str, range(22))).endswith("18, 19, ... and 2 more")
