"""JSONL file of the folder reader: every key is read, and errors name every wrong line."""

import json
from pathlib import Path
from typing import Any

import pytest

from corpus.moments import Moment
from corpus.readers import build_reader

LINE: dict[str, Any] = {"qid": "q1", "vid": "v1", "duration": 10.0, "query": "A dog runs.", "relevant_windows": [[1, 4]]}


def write(root: Path, *lines: object) -> Path:
    text = "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines)
    (root / "annotations.jsonl").write_text(text)
    return root


def read(root: Path, *lines: object) -> Any:
    return build_reader("folder").read(write(root, *lines))


def test_a_plain_line_becomes_a_query_without_a_split(tmp_path: Path) -> None:
    found = read(tmp_path, LINE)
    (query,) = found.queries
    assert (query.qid, query.video_id, query.text, query.spans) == ("q1", "v1", "A dog runs.", (Moment(1, 4),))
    assert (query.split, query.source) == ("", "human")
    assert found.durations_s == {"v1": 10.0}
    assert found.rows == {"q1": "annotations.jsonl line 1"}
    assert (found.dropped, found.clipped) == ((), ())


def test_every_optional_key_arrives(tmp_path: Path) -> None:
    extra = {
        "relevant_clip_ids": [0, 1],
        "saliency_scores": [[1, 2, 3], [4, 4, 4]],
        "split": "test",
        "tags": {"kind": "run"},
        "elsewhere": {"v2": [[0, 1], [2, 3]]},
        "annotators": [[[1, 3]], [[2, 4], [5, 6]]],
        "source": "drawn",
    }
    (query,) = read(tmp_path, LINE | extra).queries
    assert query.saliency == {0: (1, 2, 3), 1: (4, 4, 4)}
    assert (query.split, query.tags, query.source) == ("test", {"kind": "run"}, "drawn")
    assert query.elsewhere == {"v2": (Moment(0, 1), Moment(2, 3))}
    assert query.annotators == ((Moment(1, 3),), (Moment(2, 4), Moment(5, 6)))


def test_a_number_as_qid_and_several_windows_are_read(tmp_path: Path) -> None:
    (query,) = read(tmp_path, LINE | {"qid": 2579, "relevant_windows": [[0, 2], [5, 8]]}).queries
    assert query.qid == "2579"
    assert query.spans == (Moment(0, 2), Moment(5, 8))


def test_keys_of_others_and_blank_lines_are_allowed(tmp_path: Path) -> None:
    assert len(read(tmp_path, LINE | {"camera": "north"}, "", LINE | {"qid": "q2"}).queries) == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"query": "?!"}, "the sentence '\\?!' has no words"),
        ({"query": ""}, "the sentence '' has no words"),
        ({"relevant_windows": []}, "no moment is given"),
        ({"relevant_windows": [[4, 4]]}, "Moment needs 0 <= start_s < end_s, got start_s=4.0, end_s=4.0"),
        ({"relevant_windows": [[5, 4]]}, "got start_s=5.0, end_s=4.0"),
        ({"relevant_windows": [[-1, 4]]}, "relevant_windows.0.0 = -1: Input should be greater than or equal to 0"),
        ({"relevant_windows": [[True, 4]]}, "relevant_windows.0.0 = True"),
        ({"relevant_windows": [["1", 4]]}, "relevant_windows.0.0 = '1'"),
        ({"duration": 10**400}, "duration = 1000"),
        ({"split": "Train"}, "a split is train, val, test, gate or test_<name>, got 'Train'"),
        ({"relevant_windows": [[1]]}, "relevant_windows.0.1"),
        ({"relevant_windows": [["a", 2]]}, "relevant_windows.0.0 = 'a'"),
        ({"duration": 0}, "duration = 0: "),
        ({"vid": ""}, "vid = ''"),
        ({"splt": "test"}, "unknown key 'splt'; did you mean 'split'\\?"),
        ({"relevant_clip_ids": [1, 2], "saliency_scores": [[1]]}, "got 2 relevant_clip_ids, 1 saliency_scores"),
    ],
)
def test_a_wrong_line_is_named_with_its_value(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"annotations.jsonl line 2: .*{message}"):
        read(tmp_path, LINE | {"qid": "q0"}, LINE | change)


@pytest.mark.parametrize("key", ["qid", "vid", "duration", "query", "relevant_windows"])
def test_a_missing_key_is_named(tmp_path: Path, key: str) -> None:
    with pytest.raises(ValueError, match=f"line 1: the key '{key}' is missing"):
        read(tmp_path, {name: value for name, value in LINE.items() if name != key})


def test_a_line_that_is_not_json_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="annotations.jsonl line 2: not JSON: .*column 2"):
        read(tmp_path, LINE, "{oops")


def test_a_line_that_is_not_an_object_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="line 1: it must be a JSON object, got \\[1\\]"):
        read(tmp_path, [1])


def test_a_second_query_with_one_qid_is_named_with_the_first(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="line 2: the qid 'q1' is also the qid of annotations.jsonl line 1"):
        read(tmp_path, LINE, LINE)


def test_all_wrong_lines_are_named_together_and_the_rest_counted(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="line 1: .*") as caught:
        read(tmp_path, *[LINE | {"qid": str(number), "query": "!"} for number in range(25)])
    assert "line 20: " in str(caught.value)
    assert str(caught.value).endswith("... and 5 more")


@pytest.mark.parametrize("content", [[], ["", "  "]])
def test_an_empty_file_is_an_empty_corpus(tmp_path: Path, content: list[str]) -> None:
    with pytest.raises(ValueError, match="empty corpus: .*annotations.jsonl holds no queries"):
        read(tmp_path, *content)


def test_a_missing_file_is_named_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match="annotations.jsonl does not exist; put videos/ and annotations.jsonl or annotations.csv there"
    ):
        build_reader("folder").read(tmp_path / "nothing")


def test_videos_are_found_by_any_video_suffix(tmp_path: Path) -> None:
    (tmp_path / "videos").mkdir()
    for name in ("a.mp4", "b_1.5_2.0.MKV", "notes.txt", ".hidden.mp4", "c.avi"):
        (tmp_path / "videos" / name).touch()
    expected = {"a": "videos/a.mp4", "b_1.5_2.0": "videos/b_1.5_2.0.MKV", "c": "videos/c.avi"}
    found = build_reader("folder").find_videos(tmp_path)
    assert found.paths == expected
    assert [str(one) for one in found.passed_over] == [".hidden.mp4 (hidden)", "notes.txt (text)"]


def test_videos_are_named_with_or_without_suffix(tmp_path: Path) -> None:
    (tmp_path / "videos").mkdir()
    for name in ("a.mp4", "b.avi.mp4", "c.MOV"):
        (tmp_path / "videos" / name).touch()
    lines = [LINE | {"qid": vid, "vid": vid} for vid in ("a", "b.avi", "c.mov")]
    (query, *_) = found = read(tmp_path, LINE | {"vid": "a.mp4", "elsewhere": {"c.mov": [[0, 1]]}}, *lines).queries
    assert {query.video_id for query in found} == {"a", "b", "c"} == set(build_reader("folder").find_videos(tmp_path).paths)
    assert set(query.elsewhere) == {"c"}


def test_two_files_of_one_video_are_refused(tmp_path: Path) -> None:
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "a.mp4").touch()
    (tmp_path / "videos" / "a.mkv").touch()
    with pytest.raises(ValueError, match="are both the video 'a'; remove one"):
        build_reader("folder").find_videos(tmp_path)
