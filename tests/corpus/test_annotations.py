"""Checks of annotations: counts, and clipped, refused and left-out moments listed by row."""

import pytest

from corpus.annotations import (
    correct_frame_rates,
    fit_moments,
    keep_elsewhere_in_split,
    name_some,
    summarize_annotations,
)
from corpus.moments import Moment
from corpus.readers.base import ReadResult, RowNote
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


def test_a_segment_of_5_s_may_end_that_much_after_its_video() -> None:
    (after,), clipped = fit_moments([query((20, 25))], {"v": 21.0}, ROWS, granularity_s=5.0)
    assert after.spans == (Moment(20, 21.0),)
    assert clipped[0].reason == "ends after the video: 25 -> 21.0"
    with pytest.raises(ValueError, match="is outside the video 'v' of 19.90 s"):
        fit_moments([query((20, 25))], {"v": 19.9}, ROWS, granularity_s=5.0)


def test_times_that_were_counted_in_frames_follow_the_rate_of_their_video() -> None:
    before = query((1, 2), annotators=((Moment(1, 2),),), elsewhere={"w": (Moment(1, 2),)})
    (after,) = correct_frame_rates([before], {"v": 15.0, "w": 60.0}, assumed_fps=30.0)
    assert after.spans == (Moment(2, 4),)
    assert after.annotators == ((Moment(2, 4),),)
    assert after.elsewhere == {"w": (Moment(0.5, 1),)}


def test_the_summary_counts_each_published_split_and_lists_left_out_rows() -> None:
    queries = (
        query((1, 2), (3, 4), split="train", saliency={0: (1.0,)}),
        Query("t", "w", "a cat", (Moment(0, 1),), split="test", annotators=((Moment(0, 1),),)),
        Query("u", "w", "a fox", (Moment(0, 1),), split="train"),
    )
    dropped, clipped = RowNote("f line 4", "d", "empty", "train"), RowNote("f line 5", "t", "long", "test")
    summary = summarize_annotations(ReadResult(queries, ROWS, {}, (dropped,), (clipped,), {"train": 3, "test": 1}))
    assert summary["splits"] == {
        "train": {
            "rows": 3,
            "dropped": 1,
            "clipped": 0,
            "queries": 2,
            "videos": 2,
            "moments": 3,
            "queries_with_several_moments": 1,
            "queries_with_saliency": 1,
            "queries_with_annotators": 0,
        },
        "test": {
            "rows": 1,
            "dropped": 0,
            "clipped": 1,
            "queries": 1,
            "videos": 1,
            "moments": 1,
            "queries_with_several_moments": 0,
            "queries_with_saliency": 0,
            "queries_with_annotators": 1,
        },
    }
    assert summary["videos_in_two_splits"] == {"test and train": 1}
    assert summary["dropped"] == [{"row": "f line 4", "qid": "d", "reason": "empty", "split": "train"}]
    assert [note["row"] for note in summary["clipped"]] == ["f line 5"]


def test_a_corpus_without_published_splits_says_so() -> None:
    summary = summarize_annotations(ReadResult((query((1, 2)),), ROWS, {}, num_rows={"": 1}))
    assert list(summary["splits"]) == ["(none published)"]
