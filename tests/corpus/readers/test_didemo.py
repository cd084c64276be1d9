"""DiDeMo reader: segments of 5 s from several annotators, and their consensus."""

import itertools
import json
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.moments import Moment
from corpus.readers import build_reader
from corpus.readers.base import ReadResult
from corpus.readers.didemo import find_consensus

Read = Callable[..., ReadResult]
Pairs = Sequence[tuple[int, int]]
ROW = {"annotation_id": 9, "description": " a dog runs", "video": "1@N0_2.mov", "times": [[1, 1], [1, 1], [1, 2], [4, 4]]}
SEGMENTS = list(itertools.combinations_with_replacement(range(6), 2))


def moments(pairs: Pairs) -> list[Moment]:
    return [Moment(5 * first, 5 * (last + 1)) for first, last in pairs]


def official_iou(answer: tuple[int, int], times: Pairs) -> float:
    """Return the mean over the three best IoUs of DiDeMo's evaluation, in whole segments."""
    ious = []
    for first, last in times:
        shared = max(0, min(answer[1], last) + 1 - max(answer[0], first))
        ious.append(shared / (max(answer[1], last) + 1 - min(answer[0], first)) if shared else 0.0)
    return float(np.mean(sorted(ious)[-3:]))


def test_every_person_is_an_annotator_and_the_span_is_their_consensus(read: Read) -> None:
    query = read("didemo").queries[0]
    assert (query.qid, query.video_id, query.text, query.split) == ("train-9", "1@N0_2", "a dog runs", "train")
    assert query.annotators == ((Moment(5, 10),), (Moment(5, 10),), (Moment(5, 15),), (Moment(20, 25),))
    assert query.spans == (Moment(5, 10),)


@pytest.mark.parametrize(
    ("times", "consensus"),
    [
        ([(2, 2)], (2, 2)),
        ([(0, 0), (3, 3), (3, 3), (3, 3)], (3, 3)),
        ([(0, 5), (1, 2), (1, 3), (2, 2)], (1, 2)),
        ([(4, 4), (0, 0)], (0, 0)),
        ([(1, 1), (0, 0), (1, 1), (0, 0)], (0, 0)),
    ],
)
def test_consensus_by_hand(times: Pairs, consensus: tuple[int, int]) -> None:
    assert [find_consensus(moments(times))] == moments([consensus])


@settings(max_examples=60)
@given(times=st.lists(st.sampled_from(SEGMENTS), min_size=1, max_size=6), data=st.data())
def test_the_consensus_scores_best_among_annotated_moments_in_any_order(times: Pairs, data: st.DataObject) -> None:
    found = find_consensus(moments(times))
    scores = {pair: official_iou(pair, times) for pair in times}
    (pair,) = {pair for pair in times if moments([pair]) == [found]}
    assert scores[pair] == pytest.approx(max(scores.values()))
    assert find_consensus(moments(data.draw(st.permutations(times)))) == found


def test_a_last_segment_may_end_after_its_video() -> None:
    assert build_reader("didemo").granularity_s == 5.0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"times": [[2, 1]]}, "times: the first segment 2 is after the last one 1"),
        ({"times": [[0, 6]]}, "times.0.1 = 6: Input should be less than or equal to 5"),
        ({"times": [[-1, 0]]}, "times.0.0 = -1"),
        ({"times": [[True, 1]]}, "times.0.0 = True"),
        ({"times": [[0.0, 1]]}, "times.0.0 = 0.0"),
        ({"times": []}, "times = \\[\\]"),
        ({"description": None}, "description = None"),
        ({"annotation_id": None}, "annotation_id"),
    ],
)
def test_a_broken_item_is_named(read: Read, changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=f"train_data.json item 2: .*{message}"):
        read("didemo", {"train_data.json": json.dumps([ROW, ROW | {"annotation_id": 10} | changes])})


def test_a_second_item_of_one_id_is_refused(read: Read) -> None:
    with pytest.raises(ValueError, match="item 2: the qid 'train-9' is also the qid of train_data.json item 1"):
        read("didemo", {"train_data.json": json.dumps([ROW, ROW])})


def test_a_file_that_holds_no_list_is_named(read: Read) -> None:
    with pytest.raises(ValueError, match="val_data.json must hold a list of sentences, got {}"):
        read("didemo", {"val_data.json": "{}"})
