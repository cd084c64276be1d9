"""Prediction files are read strictly, and errors name the line and the qid."""

import json
import re
from pathlib import Path

import pytest

from evaluation.scoring.prediction_files import read_predictions


def write(tmp_path: Path, *lines: object) -> Path:
    path = tmp_path / "p.jsonl"
    path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines), encoding="utf-8")
    return path


def test_a_line_gives_windows_saliency_moments_and_videos(tmp_path: Path) -> None:
    row = {"qid": 7, "vid": "v", "query": "x", "pred_relevant_windows": [[0, 5, 0.5, "more"]], "pred_saliency_scores": [1, -2]}
    row |= {"pred_collection_moments": [["w", 1, 2, 0.1]], "pred_videos": ["w", "v"]}
    (found,) = read_predictions(write(tmp_path, row, ""))
    assert (found.qid, found.video_id, found.videos) == ("7", "v", ("w", "v"))
    assert found.windows is not None
    assert found.windows.tolist() == [[0, 5, 0.5]]
    assert found.saliency is not None
    assert found.saliency.tolist() == [1, -2]
    assert found.moments == (("w", 1.0, 2.0, 0.1),)
    (other,) = read_predictions(write(tmp_path, {"qid": "a"}))
    assert (other.video_id, other.windows, other.saliency, other.moments, other.videos) == (None,) * 5


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 1: not JSON"),
        ('{"qid": 1, "pred_relevant_windows": [[0, 1, NaN]]}', "line 1: NaN is not a JSON number"),
        ("[1]", "line 1: it must be a JSON object, got [1]"),
        ({"vid": "v"}, "line 1: qid must be a text or a whole number, got None"),
        ({"qid": True}, "qid must be a text or a whole number, got True"),
        ({"qid": 1.5}, "qid must be a text or a whole number, got 1.5"),
        ({"qid": 1, "pred_relevant_windows": []}, "line 1 (qid 1): pred_relevant_windows is empty; every query needs an answer"),
        ({"qid": 1, "pred_relevant_windows": None}, "pred_relevant_windows must be a list, got None"),
        ({"qid": 1, "pred_relevant_windows": [[0, 1]]}, "a window must be [start, end, score], got [0, 1]"),
        ({"qid": 1, "pred_relevant_windows": [3]}, "a window must be [start, end, score], got 3"),
        ({"qid": 1, "pred_relevant_windows": [["0", 1, 1]]}, "every value must be a finite number, got '0'"),
        ({"qid": 1, "pred_relevant_windows": [[0, True, 1]]}, "every value must be a finite number, got True"),
        ('{"qid": 1, "pred_relevant_windows": [[0, 1e999, 1]]}', "every value must be a finite number, got inf"),
        ({"qid": 1, "pred_relevant_windows": [[0, 1, 10**400]]}, "every value must be a finite number, got 1000"),
        ({"qid": 1, "pred_saliency_scores": []}, "pred_saliency_scores is empty"),
        ({"qid": 1, "pred_saliency_scores": [None]}, "pred_saliency_scores: every value must be a finite number, got None"),
        ({"qid": 1, "pred_collection_moments": [["v", 0, 1]]}, "a moment must be [vid, start, end, score]"),
        ({"qid": 1, "pred_videos": ["v", "v"]}, "a video is listed twice"),
        ({"qid": 1, "pred_videos": [3]}, "a video must be a text, got 3"),
    ],
)
def test_invalid_lines_are_refused_by_line_and_qid(tmp_path: Path, line: object, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        read_predictions(write(tmp_path, line))


def test_a_qid_of_two_lines_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"line 3 \(qid 1\): line 1 \(qid 1\) is about this qid too; keep one of them"):
        read_predictions(write(tmp_path, {"qid": 1}, {"qid": 2}, {"qid": "1"}))


def test_all_invalid_lines_are_named_together(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"p.jsonl cannot be scored:\nline 1: .*\nline 3 "):
        read_predictions(write(tmp_path, {"qid": None}, {"qid": 2}, {"qid": 3, "pred_videos": []}))


def test_an_empty_or_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds no predictions"):
        read_predictions(write(tmp_path))
    with pytest.raises(ValueError, match="does not exist; give the file of predictions"):
        read_predictions(tmp_path / "none.jsonl")
