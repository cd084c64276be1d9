"""Readers of ActivityNet Captions and TACoS: one JSON format, in seconds and in frames."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from corpus.moments import Moment
from corpus.readers import build_reader
from corpus.readers.base import ReadResult

Read = Callable[..., ReadResult]
ACTIVITYNET = {"duration": 20.0, "timestamps": [[0, 4.5], [3, 20]], "sentences": [" A dog runs.", "It sleeps."]}
TACOS = {"fps": 29.4, "num_frames": 588, "timestamps": [[0, 294]], "sentences": ["She cuts bread."]}


def read_activitynet(read: Read, **changes: Any) -> ReadResult:
    return read("activitynet_captions", {"train.json": json.dumps({"v_one": ACTIVITYNET | changes})})


def test_activitynet_gives_a_query_for_each_sentence(read: Read) -> None:
    found = read("activitynet_captions")
    first, second, *_ = found.queries
    assert (first.qid, first.video_id, first.text, first.spans) == ("train-v_one-1", "v_one", "A dog runs.", (Moment(0, 4.5),))
    assert (second.text, second.spans, second.split) == ("It sleeps.", (Moment(3, 20),), "train")
    assert found.rows["train-v_one-2"] == "train.json video 'v_one' sentence 2"
    assert [query.split for query in found.queries] == ["train", "train", "val", "val", "test", "test"]
    assert found.durations_s == {"v_one": 20.0, "v_two": 20.0}


def test_its_files_may_have_the_names_of_2d_tan_but_not_both(read: Read) -> None:
    original = read("activitynet_captions")
    text = json.dumps({"v_two": ACTIVITYNET})
    assert read("activitynet_captions", {"val_2.json": None, "test.json": text}).queries == original.queries
    with pytest.raises(ValueError, match="val_2.json and .*test.json are two names of the same annotations; remove one"):
        read("activitynet_captions", {"test.json": text})


def test_activitynet_test_annotates_validation_videos_again() -> None:
    assert build_reader("activitynet_captions").reannotated == {"val": "test"}


def test_tacos_turns_frames_into_seconds(read: Read) -> None:
    found = read("tacos")
    assert found.queries[0].video_id == "s1-d1"
    assert found.queries[0].spans == (Moment(0, 10.0),)
    assert found.durations_s["s1-d1"] == pytest.approx(20.0)


def test_ends_are_clipped_and_rows_then_empty_dropped(read: Read) -> None:
    times = [[19, 20.5], [5, 5], [7, 6], [20, 21]]
    found = read_activitynet(read, timestamps=times, sentences=["a", "b", "c", "d"])
    assert found.queries[0].spans == (Moment(19, 20.0),)
    assert [note.qid for note in found.clipped] == ["train-v_one-1", "train-v_one-4"]
    assert [note.qid for note in found.dropped] == ["train-v_one-2", "train-v_one-3", "train-v_one-4"]
    assert found.num_rows["train"] == 4
    tacos = read("tacos", {"train.json": json.dumps({"s1-d1.avi": TACOS | {"timestamps": [[294, 600]]}})})
    assert tacos.queries[0].spans == (Moment(10.0, 20.0),)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"duration": 0}, "duration = 0: Input should be greater than 0"),
        ({"duration": True}, "duration = True: Input should be a valid number"),
        ({"duration": "20"}, "duration = '20': Input should be a valid number"),
        ({"timestamps": [[-1, 2], [1, 2]]}, "timestamps.0.0 = -1: Input should be greater than or equal to 0"),
        ({"timestamps": [[0, 10**400], [1, 2]]}, "timestamps.0.1 = 1000000000"),
        ({"timestamps": [[0, 1e9], [1, 2]]}, "timestamps.0.1 = 1000000000.0: Input should be less than or equal to 604800"),
        ({"timestamps": [[0, None], [1, 2]]}, "timestamps.0.1 = None"),
        ({"timestamps": [[1, 2]]}, "each sentence needs its times, got 1 and 2"),
        ({"sentences": ["a", 3]}, "sentences.1 = 3: Input should be a valid string"),
        ({"sentences": ["a", "?"]}, "sentence 2: query 'train-v_one-2': the sentence '\\?' has no words"),
    ],
)
def test_a_broken_video_is_named(read: Read, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"train.json video 'v_one'.*{message}"):
        read_activitynet(read, **changes)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"v": {"duration": NaN}}', "train.json: NaN is not a JSON number"),
        ('{"v": {"duration": -Infinity}}', "train.json: -Infinity is not a JSON number"),
        ('{"v": {}, "v": {}}', "train.json: the key 'v' is given twice"),
        ('{"v":\n {oops', r"train.json: not JSON: .* \(line 2 column 3\)"),
        ("[1]", r"train.json must hold an object of videos, got \[1\]"),
        ('{"v\\ud800": {}}', "train.json: a text holds half of a surrogate pair"),
        ('{"v": [1]}', r"train.json video 'v': it must be a JSON object, got \[1\]"),
    ],
)
def test_a_broken_file_is_named(read: Read, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read("activitynet_captions", {"train.json": text})


@pytest.mark.parametrize("changes", [{"fps": 0}, {"fps": "25"}, {"num_frames": 0}, {"num_frames": 10.5}])
def test_invalid_frame_rates_and_counts_are_refused(read: Read, changes: dict[str, Any]) -> None:
    ((key, value),) = changes.items()
    with pytest.raises(ValueError, match=f"train.json video 's1-d1.avi': {key} = {value!r}"):
        read("tacos", {"train.json": json.dumps({"s1-d1.avi": TACOS | changes})})
