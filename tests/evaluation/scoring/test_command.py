"""The command line: only JSON on stdout, comparisons of folders and files, and refusals."""

import csv
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evaluation.scoring.command import build_convention, main
from evaluation.scoring.compare import Scored, compare, read_evaluation
from pipeline.dvc.revisions import read_revision

RunIn = Callable[..., str]
ROOT = Path(__file__).resolve().parents[3]


def read_report(revision: str) -> str:
    """Read the report of a revision of the working tree's repository."""
    return read_revision(revision, Path("data/reports/evaluation/figures.csv"))


def write_lines(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path, Path]:
    """A truth of twelve queries in six videos, perfect predictions, and predictions that miss every third."""
    truth = [
        {"qid": qid, "vid": f"v{qid // 2}", "duration": 100, "query": "a dog", "relevant_windows": [[qid, qid + 20]]}
        for qid in range(12)
    ]
    good = [{"qid": row["qid"], "pred_relevant_windows": [[*row["relevant_windows"][0], 0.9]]} for row in truth]
    poor = [row if row["qid"] % 3 else {**row, "pred_relevant_windows": [[80, 90, 0.1]]} for row in good]
    return tuple(write_lines(tmp_path / f"{name}.jsonl", rows) for name, rows in (("g", truth), ("good", good), ("poor", poor)))  # type: ignore[return-value]


@pytest.mark.slow
def test_the_program_prints_only_json_and_warns_on_the_other_stream(files: tuple[Path, Path, Path]) -> None:
    truth, good, _ = files
    command = [sys.executable, "-m", "cuepoint", "score", "--predictions", str(good), "--ground-truth", str(truth)]
    done = subprocess.run([*command, "--convention", "qvhighlights"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["brief"]["MR-full-R1@0.5"] == 100
    assert "warning: no query has a short moment" in done.stderr


@pytest.mark.filterwarnings("ignore:no query has a")
def test_intervals_are_added_on_request(files: tuple[Path, Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    truth, _, poor = files
    main(
        ["score", "--predictions", str(poor), "--ground-truth", str(truth), "--convention", "qvhighlights", "--intervals"],
        read_revision=read_report,
    )
    printed = json.loads(capsys.readouterr().out)
    low, high = printed["intervals"]["R1_iou0.5"]
    assert low < printed["brief"]["MR-full-R1@0.5"] == 66.67 < high
    assert printed["intervals"]["short_R1_iou0.5"] is None


def test_two_files_are_compared_by_the_paired_difference(
    files: tuple[Path, Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    truth, good, poor = files
    scoring = ["--ground-truth", str(truth), "--convention", "2d-tan", "--nms", "none"]
    main(["compare", str(poor), str(good), *scoring, "--json"], read_revision=read_report)
    printed = json.loads(capsys.readouterr().out)
    assert (printed["queries"], printed["videos"]) == (12, 6)
    figure = printed["figures"]["R1_iou0.5"]
    assert (figure["left"], figure["right"]) == (0.666667, 1)
    assert 0 < figure["low"] <= figure["difference"] <= figure["high"] < 1
    assert figure["p_value"] < 0.05
    main(["compare", str(poor), str(good), *scoring], read_revision=read_report)
    table = capsys.readouterr().out
    assert "12 queries of 6 videos" in table
    assert "R1_iou0.5" in table
    assert "*[" in table


def write_evaluation(folder: Path, rows: list[dict[str, Any]]) -> Path:
    folder.mkdir(parents=True)
    with (folder / "figures.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return folder


def test_a_folder_is_compared_with_a_file(
    files: tuple[Path, Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    truth, good, _ = files
    rows = [{"qid": qid, "video_id": f"v{qid // 2}", "R1_iou0.5": qid % 2, "gap": "" if qid else 1} for qid in range(12)]
    folder = write_evaluation(tmp_path / "run", rows)
    np.testing.assert_array_equal(read_evaluation(folder).figures["gap"], [1, *[np.nan] * 11])
    scoring = ["--ground-truth", str(truth), "--convention", "2d-tan", "--nms", "none"]
    main(["compare", str(folder), str(good), *scoring, "--json"], read_revision=read_report)
    assert json.loads(capsys.readouterr().out)["figures"]["R1_iou0.5"]["difference"] == 0.5


def make_scored(name: str, videos: dict[str, str]) -> Scored:
    return Scored(name, videos, {"a": np.arange(len(videos), dtype=float)})


def test_only_the_same_queries_are_compared() -> None:
    left, right = make_scored("A", {"1": "v", "2": "w", "3": "w"}), make_scored("B", {"3": "w", "2": "w", "4": "x"})
    with pytest.raises(ValueError, match="2 queries are only in one of A and B: 1, 4; add --shared-only to compare the others"):
        compare(left, right, shared_only=False, num_samples=10, seed=0)
    with pytest.warns(UserWarning, match="2 queries that only one side answers are left out"):
        found = compare(left, right, shared_only=True, num_samples=10, seed=0)
    assert (found.num_queries, found.num_videos) == (2, 1)
    assert found.figures["a"].difference == -1  # (1 + 2) / 2 against (1 + 0) / 2
    assert "one video" in found.to_table()
    with pytest.raises(ValueError, match="they have no query in common"):
        compare(left, make_scored("C", {"9": "v"}), shared_only=True, num_samples=10, seed=0)


def test_a_query_about_another_video_is_refused() -> None:
    left, right = make_scored("A", {"1": "v", "2": "w"}), make_scored("B", {"1": "v", "2": "x"})
    with pytest.raises(ValueError, match="scored against different truths: the video differs for qid 2"):
        compare(left, right, shared_only=False, num_samples=10, seed=0)


@pytest.mark.parametrize(
    ("name", "nms", "message"),
    [
        ("2d-tan", None, "2d-tan needs --nms: published thresholds differ"),
        ("2d-tan", "2", "--nms must be an IoU from 0 to 1, or none, got '2'"),
        ("tvr", "half", "--nms must be an IoU from 0 to 1, or none, got 'half'"),
        ("qvhighlights", "0.5", "qvhighlights takes windows in listed order without suppression; leave --nms out"),
    ],
)
def test_the_threshold_of_the_suppression_is_never_guessed(name: str, nms: str | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build_convention(name, nms)


def test_a_folder_without_an_evaluation_is_refused_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="has no figures.csv; give a folder that evaluate wrote"):
        read_evaluation(tmp_path)
    for name in ("p.jsonl", "q.jsonl"):
        write_lines(tmp_path / name, [{"qid": 1}])
    with pytest.raises(ValueError, match="p.jsonl: a prediction file needs --ground-truth and --convention"):
        main(["compare", str(tmp_path / "p.jsonl"), str(tmp_path / "q.jsonl")], read_revision=read_report)


@pytest.mark.slow
def test_revisions_are_compared_by_the_evaluations_they_hold(tmp_path: Path, run_in: RunIn) -> None:
    run_in(tmp_path, "git", "init", "-q")
    run_in(tmp_path, "dvc", "init", "-q")
    for tag, hit in (("first", 0), ("second", 1)):
        rows = [{"qid": qid, "video_id": f"v{qid}", "R1_iou0.5": hit if qid % 2 else 1} for qid in range(6)]
        write_evaluation(tmp_path / "data" / "reports" / "evaluation", rows)
        run_in(tmp_path, "git", "add", "-A")
        run_in(tmp_path, "git", "-c", "user.name=test", "-c", "user.email=test@localhost", "commit", "-q", "-m", tag)
        run_in(tmp_path, "git", "tag", tag)
        shutil.rmtree(tmp_path / "data")
    command = (sys.executable, "-m", "cuepoint", "compare")
    printed = json.loads(run_in(tmp_path, *command, "first", "second", "--json"))
    assert (printed["left"], printed["right"]) == ("first", "second")
    assert printed["figures"]["R1_iou0.5"]["difference"] == 0.5
    with pytest.raises(AssertionError, match=r"compare: error: third is not a folder, file or revision with"):
        run_in(tmp_path, *command, "first", "third")


def test_help_documents_the_format_and_the_conventions(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["score", "--help"], read_revision=read_report)
    text = capsys.readouterr().out
    assert "pred_relevant_windows" in text
    assert "cuepoint score --predictions P.jsonl" in text
    with pytest.raises(SystemExit):
        main(["compare", "--help"], read_revision=read_report)
