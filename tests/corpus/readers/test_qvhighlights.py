"""QVHighlights reader: several windows, ratings of clips, and a test split without windows."""

import json
from collections.abc import Callable, Mapping

import pytest

from corpus.moments import Moment
from corpus.readers.base import ReadResult

Read = Callable[..., ReadResult]
TRAIN, TEST = "highlight_train_release.jsonl", "highlight_test_release.jsonl"


@pytest.fixture
def line(corpora: Mapping[str, Mapping[str, str]]) -> dict[str, object]:
    """Return a row of the training file."""
    row: dict[str, object] = json.loads(corpora["qvhighlights"][TRAIN])
    return row


def test_windows_and_ratings_arrive(read: Read, line: dict[str, object]) -> None:
    found = read("qvhighlights", {TRAIN: json.dumps(line | {"relevant_windows": [[10, 14], [20, 30.5]]})})
    query = found.queries[0]
    assert (query.qid, query.video_id, query.split) == ("7", "abc_60.0_210.0", "train")
    assert query.spans == (Moment(10, 14), Moment(20, 30.5))
    assert query.saliency == {5: (4, 3, 2), 6: (0, 1, 2)}
    assert found.durations_s == {"abc_60.0_210.0": 150}
    assert found.rows["7"] == f"{TRAIN} line 1"


def test_the_test_release_has_no_windows_and_each_of_its_rows_is_dropped_saying_why(read: Read, line: dict[str, object]) -> None:
    rows = [{"qid": 10 + number, "query": "a cat", "duration": 150, "vid": f"x_{number}"} for number in range(2)]
    found = read("qvhighlights", {TEST: "\n".join(map(json.dumps, rows))})
    assert [(note.row, note.qid, note.split) for note in found.dropped] == [
        (f"{TEST} line 1", "10", "test"),
        (f"{TEST} line 2", "11", "test"),
    ]
    assert "its windows are not published; the benchmark's server scores" in found.dropped[0].reason
    assert found.num_rows == {"train": 1, "val": 1, "test": 2}
    assert {query.split for query in found.queries} == {"train", "val"}


def test_a_test_release_with_windows_is_read(read: Read, line: dict[str, object]) -> None:
    assert read("qvhighlights", {TEST: json.dumps(line | {"qid": "t"})}).queries[-1].split == "test"


def test_a_qid_of_two_splits_is_refused(read: Read, line: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=f"val_release.jsonl line 1: the qid '7' is also the qid of {TRAIN} line 1"):
        read("qvhighlights", {"highlight_val_release.jsonl": json.dumps(line)})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"relevant_windows": []}, "no moment is given"),
        ({"relevant_windows": None}, "no moment is given"),
        ({"relevant_windows": [[4, 4]]}, "Moment needs 0 <= start_s < end_s"),
        ({"relevant_windows": [[4, False]]}, "relevant_windows.0.1 = False"),
        ({"relevant_clip_ids": [5]}, "each clip needs its scores, got 1 relevant_clip_ids, 2 saliency_scores"),
        ({"relevant_clip_ids": [5, -1]}, "relevant_clip_ids.1 = -1"),
        ({"saliency_scores": [[4], ["3"]]}, "saliency_scores.1.0 = '3'"),
        ({"qid": 1.5}, "qid"),
        ({"qid": True}, "qid"),
        ({"vid": ""}, "vid = ''"),
        ({"query": "..."}, "has no words"),
    ],
)
def test_a_broken_row_is_named(read: Read, line: dict[str, object], changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=f"{TRAIN} line 2: .*{message}"):
        read("qvhighlights", {TRAIN: "\n" + json.dumps(line | changes)})
