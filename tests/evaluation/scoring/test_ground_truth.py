"""The truth is read from a file, a corpus or the folder of a reader."""

import json
from pathlib import Path

import pytest

from corpus.moments import Moment
from corpus.records import Corpus, Query, Video, save_corpus
from evaluation.scoring.ground_truth import read_ground_truth

LINE = {"qid": 1, "vid": "v", "duration": 20, "query": "a dog", "relevant_windows": [[0, 8]]}


def write(path: Path, *lines: dict[str, object]) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


def test_a_file_gives_the_length_of_each_line_and_the_windows_of_people(tmp_path: Path) -> None:
    other = {**LINE, "qid": 2, "duration": 30, "annotators": [[[0, 5]], [[5, 10]]]}
    truth = read_ground_truth(write(tmp_path / "g.jsonl", LINE, other), reader=None, split=None)
    assert [query.qid for query in truth.queries] == ["1", "2"]
    assert truth.durations_s == {"1": 20, "2": 30}
    assert truth.queries[1].annotators == ((Moment(0, 5),), (Moment(5, 10),))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"relevant_windows": []}, "line 1: qid 1: relevant_windows is missing or empty"),
        ({"relevant_windows": [[5, 5]]}, "line 1: Moment needs 0 <= start_s < end_s, got start_s=5.0, end_s=5.0"),
        ({"duration": 0}, "line 1: duration = 0: Input should be greater than 0"),
        ({"query": ""}, "the sentence '' has no words"),
    ],
)
def test_an_invalid_truth_is_refused_by_line(tmp_path: Path, changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_ground_truth(write(tmp_path / "g.jsonl", {**LINE, **changes}), reader=None, split=None)


def test_a_qid_of_two_lines_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="the qid '1' is also the qid of g.jsonl line 1"):
        read_ground_truth(write(tmp_path / "g.jsonl", LINE, LINE), reader=None, split=None)


def test_a_corpus_gives_the_queries_of_a_split(tmp_path: Path) -> None:
    videos = tuple(Video(video_id=name, path="x", split=name, duration_s=9.5, sha256="0") for name in ("val", "test"))
    queries = tuple(Query(f"q-{name}", name, "a dog", (Moment(0, 1),), name) for name in ("val", "test"))
    save_corpus(Corpus(videos, queries), tmp_path)
    truth = read_ground_truth(tmp_path, reader=None, split="test")
    assert [query.qid for query in truth.queries] == ["q-test"]
    assert truth.durations_s["q-test"] == 9.5
    with pytest.raises(ValueError, match="has the splits 'test', 'val'; name one with --split, there is no 'tset'"):
        read_ground_truth(tmp_path, reader=None, split="tset")
    with pytest.raises(ValueError, match="has the splits 'test', 'val'; name one with --split$"):
        read_ground_truth(tmp_path, reader=None, split=None)


def test_a_reader_reads_its_folder(tmp_path: Path) -> None:
    write(tmp_path / "annotations.jsonl", LINE)
    truth = read_ground_truth(tmp_path, reader="folder", split=None)
    assert (truth.queries[0].text, truth.durations_s) == ("a dog", {"1": 20})
    with pytest.raises(ValueError, match="neither a JSONL file nor a folder with queries.jsonl"):
        read_ground_truth(tmp_path, reader=None, split=None)
    with pytest.raises(ValueError, match="is a file: --reader and --split choose within a folder"):
        read_ground_truth(tmp_path / "annotations.jsonl", reader="folder", split=None)
