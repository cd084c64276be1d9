"""Charades-STA reader: clips and drops rows like the field, lists them by line, and refuses other deviations."""

from collections.abc import Callable

import pytest

from corpus.moments import Moment
from corpus.readers.base import ReadResult, RowNote

Read = Callable[..., ReadResult]
TRAIN = "charades_sta_train.txt"


def test_a_line_becomes_a_query_of_its_split(read: Read) -> None:
    train, test = read("charades_sta").queries
    assert (train.qid, train.video_id, train.text) == ("train-1", "AO8RW", "a person is putting a book on a shelf.")
    assert (train.spans, train.split, train.source) == ((Moment(0, 6.9),), "train", "human")
    assert (test.qid, test.video_id, test.split) == ("test-1", "3MSZA", "test")


def test_lengths_come_from_the_csv_file(read: Read) -> None:
    assert read("charades_sta").durations_s == {"AO8RW": 33.67, "3MSZA": 30.96}


def test_an_end_after_the_video_is_clipped_and_listed(read: Read) -> None:
    found = read("charades_sta", {TRAIN: "AO8RW 30 34.5##a cat##s tail."})
    assert found.queries[0].spans == (Moment(30, 33.67),)
    assert found.queries[0].text == "a cat##s tail."
    assert found.clipped == (RowNote(f"{TRAIN} line 1", "train-1", "ends after the video: 34.5 -> 33.67", "train"),)


def test_a_row_without_length_after_clipping_is_dropped_and_listed(read: Read) -> None:
    found = read("charades_sta", {TRAIN: "AO8RW 34 35##a cat.\nAO8RW 20.9 12.0##a dog.\nAO8RW 1 2##a person."})
    assert [(note.row, note.reason) for note in found.dropped] == [
        (f"{TRAIN} line 1", "starts at 34.0 s and ends at 33.67 s"),
        (f"{TRAIN} line 2", "starts at 20.9 s and ends at 12.0 s"),
    ]
    assert [note.row for note in found.clipped] == [f"{TRAIN} line 1"]
    assert [query.qid for query in found.queries] == ["train-3", "test-1"]
    assert found.num_rows == {"train": 3, "test": 1}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("AO8RW 1 2 a cat", "a line must be VIDEO start end##sentence, got 'AO8RW 1 2 a cat'"),
        ("AO8RW 1##a cat", "a line must be VIDEO start end##sentence"),
        ("AO8RW -1 2##a cat", "'-1' is not a time"),
        ("AO8RW nan 2##a cat", "'nan' is not a time"),
        ("AO8RW 1 inf##a cat", "'inf' is not a time"),
        ("AO8RW 1 1e3##a cat", "'1e3' is not a time"),
        ("AO8RW 1 True##a cat", "'True' is not a time"),
        ("AO8RW 1 999999999##a cat", "'999999999' is not a time: it is longer than a week"),
        ("AO8RW 1 2##  ", "the sentence '' has no words"),
        ("GHOST 1 2##a cat", "the video 'GHOST' has no row in Charades_v1_train.csv"),
        ("3MSZA 1 2##a cat", "the video '3MSZA' has no row in Charades_v1_train.csv"),
    ],
)
def test_a_broken_line_is_named(read: Read, line: str, message: str) -> None:
    with pytest.raises(ValueError, match=rf"{TRAIN} line 3: .*{message}"):
        read("charades_sta", {TRAIN: f"AO8RW 1 2##a dog.\n\n{line}\n"})


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("video,length\nAO8RW,3\n", "line 1: the header needs the columns id,length; found 'video', 'length', split at commas"),
        ("id,length\nAO8RW,3\nAO8RW,3\n", "line 3: the video 'AO8RW' has a second length"),
        ("id,length\nAO8RW,\n", "line 2: '' is not a time"),
        ("id,length\nAO8RW,0\n", "line 2: the video 'AO8RW' has the length 0"),
        ('id,length\n"AO8RW,3\n', "line 2: unexpected end of data; is a quote not closed"),
    ],
)
def test_a_broken_table_of_lengths_is_named(read: Read, table: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"Charades_v1_train.csv {message}"):
        read("charades_sta", {"Charades_v1_train.csv": table})


@pytest.mark.parametrize(
    ("file", "origin"),
    [(TRAIN, "github.com/jiyanggao/TALL"), ("Charades_v1_test.csv", "annotations of Charades, prior.allenai.org")],
)
def test_a_missing_file_is_named_with_its_origin(read: Read, file: str, origin: str) -> None:
    with pytest.raises(ValueError, match=f"{file} does not exist; .*{origin}"):
        read("charades_sta", {file: None})
