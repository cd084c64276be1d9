"""The other conventions on files, and the pairing of predictions with queries."""

import itertools
import json
from pathlib import Path
from typing import Any

import pytest

from evaluation.scoring.conventions import DiDeMoFiles, FileConvention, QVHighlightsFiles, Tan2dFiles, TvrFiles
from evaluation.scoring.ground_truth import read_ground_truth
from evaluation.scoring.pairing import pair
from evaluation.scoring.prediction_files import read_predictions

Row = dict[str, Any]
SEGMENTS = [[5.0 * first, 5.0 * last] for first, last in itertools.combinations(range(7), 2)]


def score(
    tmp_path: Path, convention: FileConvention, predictions: list[Row], truth: list[Row], *, shared_only: bool = False
) -> dict[str, Any]:
    known = [{"vid": f"v{row['qid']}", "duration": 100, "query": "a dog", **row} for row in truth]
    for name, rows in (("p", predictions), ("g", known)):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    read = read_ground_truth(tmp_path / "g.jsonl", reader=None, split=None)
    return convention.arrange(convention.score(pair(read, read_predictions(tmp_path / "p.jsonl"), shared_only=shared_only)))


def windows(qid: int, *listed: list[float]) -> Row:
    return {"qid": qid, "pred_relevant_windows": list(listed)}


TRUTH = [{"qid": 1, "relevant_windows": [[0, 10]]}, {"qid": 2, "relevant_windows": [[50, 60]]}]


def test_2d_tan_sorts_by_score_suppresses_and_counts_above_the_threshold(tmp_path: Path) -> None:
    predictions = [
        windows(1, [80, 90, 0.1], [0, 10, 0.9]),
        windows(2, *([20, 40 + step, 0.9 - 0.1 * step] for step in range(5)), [50, 55, 0.2]),
    ]
    found = score(tmp_path, Tan2dFiles(0.5), predictions, TRUTH)
    assert (found["R1_iou0.5"], found["R5_iou0.3"], found["R5_iou0.5"], found["mIoU"]) == (50, 100, 50, 50)
    assert score(tmp_path, Tan2dFiles(None), predictions, TRUTH)["R5_iou0.3"] == 50


def test_didemo_ranks_all_segments_against_people(tmp_path: Path) -> None:
    order = [[0, 10], *(segment for segment in SEGMENTS if segment != [0, 10])]
    row = windows(1, *([*segment, -float(place)] for place, segment in enumerate(order)))
    truth = [{"qid": 1, "relevant_windows": [[0, 10]], "annotators": [[[0, 10]]] * 3 + [[[20, 30]]]}]
    assert score(tmp_path, DiDeMoFiles(), [row], truth) == {"Rank@1": 100, "Rank@5": 100, "mIoU": 100}


def test_didemo_refuses_other_windows_and_segments_that_nobody_ranked(tmp_path: Path) -> None:
    truth = [{"qid": 1, "relevant_windows": [[0, 10]]}]
    with pytest.raises(ValueError, match=r"not a run of whole chunks of 5 s within 30 s: line 1 \(qid 1\)"):
        score(tmp_path, DiDeMoFiles(), [windows(1, [1, 10, 1])], truth)
    with pytest.raises(ValueError, match=r"DiDeMo ranks all 21 runs of chunks of 5 s: line 1 \(qid 1\)"):
        score(tmp_path, DiDeMoFiles(), [windows(1, [0, 5, 1])], truth)


def test_didemo_takes_a_last_segment_that_ends_with_its_video(tmp_path: Path) -> None:
    truth = [{"qid": 1, "relevant_windows": [[25, 28.4]], "duration": 28.4}]
    assert score(tmp_path, DiDeMoFiles(), [windows(1, [25, 28.4, 1])], truth)["Rank@1"] == 100


def test_tvr_scores_each_task_that_a_file_has(tmp_path: Path) -> None:
    predictions = [
        {
            **windows(1, [0, 5, 1]),
            "pred_collection_moments": [["v2", 0, 10, 0.9], ["v1", 0, 10, 0.8]],
            "pred_videos": ["v2", "v1"],
        },
        {**windows(2, [0, 5, 1]), "pred_collection_moments": [["v2", 50, 58, 0.9]], "pred_videos": ["v2"]},
    ]
    found = score(tmp_path, TvrFiles(None), predictions, TRUTH)
    assert list(found) == ["SVMR", "VCMR", "VR"]
    assert (found["SVMR"]["0.5-r1"], found["SVMR"]["0.7-r1"]) == (50, 0)
    assert (found["VCMR"]["0.5-r1"], found["VCMR"]["0.5-r5"], found["VCMR"]["0.7-r100"]) == (50, 100, 100)
    assert found["VR"] == {"r1": 50, "r5": 100, "r10": 100, "r100": 100}


def test_tvr_asks_two_of_four_people_but_not_of_four_moments(tmp_path: Path) -> None:
    four = [[0, 10], [30, 40], [50, 60], [70, 80]]
    row = windows(1, [0, 10, 1])
    assert score(tmp_path, TvrFiles(None), [row], [{"qid": 1, "relevant_windows": four}])["SVMR"]["0.5-r1"] == 100
    people = {"qid": 1, "relevant_windows": [[0, 10]], "annotators": [[one] for one in four]}
    assert score(tmp_path, TvrFiles(None), [row], [people])["SVMR"]["0.5-r1"] == 0


def test_queries_without_prediction_and_predictions_without_query_are_refused_by_qid(tmp_path: Path) -> None:
    predictions = [windows(2, [50, 60, 1]), windows(3, [0, 1, 1])]
    message = "1 of 2 queries of .*g.jsonl have no prediction: 1; 1 predicted qids are not in .*g.jsonl: 3; add --shared-only"
    with pytest.raises(ValueError, match=message):
        score(tmp_path, Tan2dFiles(None), predictions, TRUTH)
    assert score(tmp_path, Tan2dFiles(None), predictions, TRUTH, shared_only=True)["R1_iou0.7"] == 100
    with pytest.raises(ValueError, match="no qid is both in .* and among the predictions"):
        score(tmp_path, Tan2dFiles(None), [windows(9, [0, 1, 1])], TRUTH, shared_only=True)


def test_a_key_of_some_lines_is_refused(tmp_path: Path) -> None:
    predictions = [windows(1, [0, 10, 1]), {**windows(2, [0, 10, 1]), "pred_saliency_scores": [1]}]
    with pytest.raises(ValueError, match=r"pred_saliency_scores must be in every line or in none: line 2 \(qid 2\) has it"):
        score(tmp_path, QVHighlightsFiles(), predictions, TRUTH)


def test_a_differing_vid_causes_a_warning(tmp_path: Path) -> None:
    with pytest.warns(
        UserWarning, match=r"vid differs from the query's video in the truth; only the qid counts: line 1 \(qid 1\)"
    ):
        score(tmp_path, Tan2dFiles(None), [{**windows(1, [0, 10, 1]), "vid": "w"}], TRUTH[:1])


@pytest.mark.parametrize("convention", [Tan2dFiles(None), DiDeMoFiles(), TvrFiles(None)])
def test_a_file_without_windows_is_refused(tmp_path: Path, convention: FileConvention) -> None:
    with pytest.raises(ValueError, match=r"line 1 \(qid 1\): (none of )?pred_relevant_windows"):
        score(tmp_path, convention, [{"qid": 1}], TRUTH[:1])
