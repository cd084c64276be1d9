"""Splits by video: deterministic, complete, without leaks."""

import pytest

from corpus.moments import Moment
from corpus.readers.base import RowNote
from corpus.records import Query, Video
from corpus.splits import assign_splits, choose_splits, leave_out_reannotated, require_no_leak

SHARES = {"validation_share": 0.1, "test_share": 0.2}


def query(video_id: str, split: str = "") -> Query:
    return Query(qid=f"q-{video_id}-{split}", video_id=video_id, text="a dog", spans=(Moment(0, 1),), split=split)


def contents(*video_ids: str) -> dict[str, str]:
    return {video_id: f"hash of {video_id}" for video_id in video_ids}


def video(video_id: str, split: str, sha256: str) -> Video:
    return Video(video_id=video_id, path="videos/a.mp4", split=split, duration_s=1.0, sha256=sha256)


IDS = tuple(f"v{number}" for number in range(20))


def test_shares_are_kept_and_every_video_has_one_split() -> None:
    splits = choose_splits(IDS, contents(*IDS), **SHARES, seed=1)
    counts = [list(splits.values()).count(name) for name in ("train", "val", "test")]
    assert (set(splits), counts) == (set(IDS), [14, 2, 4])


def test_the_choice_depends_on_the_seed_and_not_on_the_order() -> None:
    one = choose_splits(IDS, contents(*IDS), **SHARES, seed=1)
    assert choose_splits(reversed(IDS), contents(*IDS), **SHARES, seed=1) == one
    assert choose_splits(IDS, contents(*IDS), **SHARES, seed=2) != one


def test_three_videos_are_enough_and_two_are_not() -> None:
    assert sorted(choose_splits(IDS[:3], contents(*IDS), **SHARES, seed=1).values()) == ["test", "train", "val"]
    with pytest.raises(ValueError, match='2 different annotated videos cannot be split .* give each row .* a "split"'):
        choose_splits(IDS[:2], contents(*IDS), **SHARES, seed=1)


def test_the_gate_is_held_out_of_train_and_leaves_val_and_test_as_they_are() -> None:
    queries = [query(video_id) for video_id in IDS]
    without = assign_splits(queries, contents(*IDS), **SHARES, seed=1)
    splits = assign_splits(queries, contents(*IDS), **SHARES, seed=1, gate_share=0.25)
    gate = {video_id for video_id, split in splits.items() if split == "gate"}
    assert len(gate) == 4  # a quarter of the 14 training videos, rounded
    assert {**splits, **dict.fromkeys(gate, "train")} == without
    published = [query("a", "train"), query("b", "val"), query("c", "gate"), query("d", "train"), query("e", "train")]
    kept = assign_splits(published, contents("a", "b", "c", "d", "e"), **SHARES, seed=1, gate_share=0.5)
    assert [video_id for video_id, split in kept.items() if split == "gate"] == ["c"]


def test_copies_of_a_video_stay_together() -> None:
    copied = contents(*IDS) | {"v1": "same", "v5": "same", "v9": "same"}
    for seed in range(10):
        splits = choose_splits(IDS, copied, **SHARES, seed=seed)
        assert splits["v1"] == splits["v5"] == splits["v9"]


def test_published_splits_are_kept_and_videos_without_queries_are_unlabelled() -> None:
    queries = [query("a", "train"), query("b", "val"), query("c", "test_unseen")]
    splits = assign_splits(queries, contents("a", "b", "c", "d"), **SHARES, seed=1)
    assert splits == {"a": "train", "b": "val", "c": "test_unseen", "d": "unlabelled"}


def test_validation_is_held_out_of_train_if_none_is_published() -> None:
    queries = [query(video_id, "train") for video_id in IDS] + [query("t", "test")]
    splits = assign_splits(queries, contents(*IDS, "t"), **SHARES, seed=1)
    assert list(splits.values()).count("val") == 2
    assert splits["t"] == "test"


def test_held_out_copies_of_a_training_video_go_together() -> None:
    copied = contents(*IDS, "t") | {"v1": "same", "v5": "same", "v9": "same"}
    queries = [query(video_id, "train") for video_id in IDS] + [query("t", "test")]
    for seed in range(10):
        splits = assign_splits(queries, copied, **SHARES, seed=seed)
        assert splits["v1"] == splits["v5"] == splits["v9"]


def test_a_published_validation_without_a_test_split_is_kept_and_no_test_split_is_made_up() -> None:
    queries = [query(video_id, "train") for video_id in IDS] + [query("a", "val")]
    splits = assign_splits(queries, contents(*IDS, "a"), **SHARES, seed=1)
    assert splits == dict.fromkeys(IDS, "train") | {"a": "val"}


def test_a_reannotated_split_loses_its_queries_row_by_row() -> None:
    queries = [query("a", "val"), query("b", "val"), query("a", "test"), query("c", "train")]
    rows = {one.qid: f"row of {one.qid}" for one in queries}
    kept, notes = leave_out_reannotated(queries, rows, {"val": "test"})
    assert kept == queries[1:]
    assert notes == [RowNote("row of q-a-val", "q-a-val", "the video 'a' is in the split test too", "val")]
    assert leave_out_reannotated(queries, rows, {}) == (queries, [])


def test_train_of_one_video_cannot_give_validation() -> None:
    with pytest.raises(ValueError, match="val must be held out of train, but train has 1 video; .*or add videos"):
        assign_splits([query("a", "train"), query("b", "test")], contents("a", "b"), **SHARES, seed=1)


@pytest.mark.parametrize(
    ("queries", "message"),
    [
        ([query("a", "train"), query("b")], '1 of 2 rows have no "split"; give one to all rows or to none'),
        ([query("a", "train"), query("a", "test")], r"queries of a video are in two splits: a \(test, train\)"),
        ([query("a", "val"), query("b", "test")], "no query has the split 'train', only test, val"),
    ],
)
def test_contradictory_splits_are_refused(queries: list[Query], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        assign_splits(queries, contents("a", "b"), **SHARES, seed=1)


def test_the_same_bytes_in_two_splits_are_a_leak() -> None:
    require_no_leak([video("a", "train", "x"), video("b", "train", "x"), video("c", "test", "y")])
    with pytest.raises(ValueError, match=r"the same video is in two splits: a \(train\) = c \(test\); remove one"):
        require_no_leak([video("a", "train", "x"), video("c", "test", "x")])
