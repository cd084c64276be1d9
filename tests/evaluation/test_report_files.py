"""The files of a report."""

import csv
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from corpus.files import sha256_file
from corpus.records import Corpus, save_corpus
from evaluation.examiner import EvaluationInputs
from evaluation.scoring import command
from models.artefacts.encoder_files import load_encoders

pytestmark = pytest.mark.slow


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


Factory = Callable[..., Any]  # a fixture that makes things


def test_a_second_evaluation_gives_the_same_bytes(
    world: EvaluationInputs, report_dir: Path, tmp_path: Path, run_evaluation: Factory
) -> None:
    run_evaluation(world, tmp_path)
    hashes = [{path.name: sha256_file(path) for path in folder.rglob("*.*")} for folder in (report_dir, tmp_path)]
    assert hashes[0] == hashes[1]
    assert {"metrics.json", "floors.csv", "recall_curve.csv", "slices.csv", "index.html", "answers.png"} <= hashes[0].keys()


def test_the_page_loads_nothing_from_anywhere(report_dir: Path) -> None:
    page = (report_dir / "index.html").read_text()
    assert all(target.startswith("data:") for target in re.findall(r"""(?:src|href)\s*=\s*["']?([^"'\s>]+)""", page))
    assert not re.search(r"://|url\(|@import|<script|<link", page)
    assert page.count("data:image/jpeg;base64,") >= 4


def test_the_page_escapes_sentences(
    world: EvaluationInputs,
    tmp_path: Path,
    make_corpus: Factory,
    make_features: Factory,
    run_evaluation: Factory,
) -> None:
    corpus = make_corpus({"train": 2, "val": 1, "test": 2})
    hostile = replace(corpus.queries[-1], text="<script>alert(1)</script> red & blue")
    save_corpus(Corpus(corpus.videos, (*corpus.queries[:-1], hostile)), tmp_path / "corpus")
    make_features(tmp_path / "features", corpus, load_encoders(world.encoder_dir).streams["video"].fingerprint)
    inputs = world._replace(corpus_dir=tmp_path / "corpus", features_dir=tmp_path / "features")
    run_evaluation(inputs, tmp_path / "report")
    page = (tmp_path / "report" / "index.html").read_text()
    assert "<script" not in page
    assert "&lt;script&gt;" in page


def test_a_report_of_missing_videos_has_no_frames(world: EvaluationInputs, tmp_path: Path, run_evaluation: Factory) -> None:
    run_evaluation(world, tmp_path / "report", raw_dir=tmp_path / "nowhere")
    assert "no video file" in (tmp_path / "report" / "index.html").read_text()


def test_predictions_are_written_in_the_public_format(report_dir: Path) -> None:
    rows = [json.loads(line) for line in (report_dir / "predictions.jsonl").read_text().splitlines()]
    assert len(rows) == 16
    assert rows[0].keys() == {"qid", "query", "vid", "pred_relevant_windows", "pred_collection_moments"}
    for row in rows:
        scores = [moment[3] for moment in row["pred_collection_moments"]]
        assert scores == sorted(scores, reverse=True)
        assert len({moment[0] for moment in row["pred_collection_moments"]}) == 3  # survivors
    for row in rows:
        windows = np.array(row["pred_relevant_windows"])
        assert windows.shape[1] == 3
        assert (windows[:, 0] < windows[:, 1]).all()
        assert (np.diff(windows[:, 2]) <= 0).all()


def test_per_query_rows_repeat_the_headline_figure(report_dir: Path, metrics: dict[str, Any]) -> None:
    rows = [json.loads(line) for line in (report_dir / "per_query.jsonl").read_text().splitlines()]
    assert np.mean([row["iou"] > 0.5 for row in rows]) == pytest.approx(metrics["test"]["localizer"]["R1_iou0.5"], abs=1e-6)
    assert np.mean([row["iou"] for row in rows]) == pytest.approx(metrics["test"]["localizer"]["mIoU"], abs=1e-5)


def test_the_recall_curve_falls_and_meets_the_table(report_dir: Path, metrics: dict[str, Any]) -> None:
    curve = read_csv(report_dir / "recall_curve.csv")
    for name in ("localizer", "chance", "prior", "blind", "shuffled", "whole_video"):
        values = [float(row[name]) for row in curve]
        assert values == sorted(values, reverse=True)
    half = next(row for row in curve if row["iou"] == "0.5")
    assert float(half["localizer"]) == metrics["test"]["localizer"]["R1_iou0.5"]
    assert float(half["chance"]) == metrics["test"]["floors"]["chance"]["R1_iou0.5"]


@pytest.mark.parametrize(
    ("convention", "group", "options"), [("2d-tan", "", ["--nms", "none"]), ("qvhighlights", "qvhighlights", [])]
)
@pytest.mark.filterwarnings("ignore:no query has a")
def test_predictions_score_like_the_report(
    world: EvaluationInputs,
    report_dir: Path,
    capsys: pytest.CaptureFixture[str],
    convention: str,
    group: str,
    options: list[str],
) -> None:
    arguments = ["--predictions", str(report_dir / "predictions.jsonl"), "--ground-truth", str(world.corpus_dir)]
    command.main(["score", *arguments, "--split", "test", "--convention", convention, *options], read_revision=str)
    printed = json.loads(capsys.readouterr().out)
    summary = json.loads((report_dir / "summary.json").read_text())["test"]
    ours = (summary[group] if group else summary)["localizer"]
    if convention == "2d-tan":
        found = {name: printed[name] for name in ("R1_iou0.3", "R1_iou0.5", "R1_iou0.7", "R5_iou0.5", "mIoU")}
    else:
        found = {"R1_iou0.5": printed["brief"]["MR-full-R1@0.5"], "mAP_avg": printed["brief"]["MR-full-mAP"]}
    assert found == {name: pytest.approx(100 * ours[name], abs=0.0051) for name in found}


def test_every_query_has_its_figures_and_their_means_are_the_report(report_dir: Path) -> None:
    rows = read_csv(report_dir / "figures.csv")
    summary = json.loads((report_dir / "summary.json").read_text())["test"]
    assert [row["qid"] for row in rows][:2] == ["test-0-0", "test-0-1"]
    for column, group in (("R1_iou0.5", summary["localizer"]), ("qvhighlights_mAP_avg", summary["qvhighlights"]["localizer"])):
        mean = np.mean([float(row[column]) for row in rows])
        assert mean == pytest.approx(group[column.removeprefix("qvhighlights_")], abs=1e-6)
    assert np.mean([float(row["collection_R10"]) for row in rows]) == pytest.approx(summary["collection"]["R10"], abs=1e-6)
    assert {row["qvhighlights_long_mAP_avg"] for row in rows} == {""}  # no moment is longer than 30 s


def test_a_report_equals_itself_and_its_own_predictions(
    world: EvaluationInputs, report_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    truth = ["--ground-truth", str(world.corpus_dir), "--split", "test", "--convention", "2d-tan", "--nms", "none"]
    command.main(["compare", str(report_dir), str(report_dir / "predictions.jsonl"), *truth, "--json"], read_revision=str)
    figures = json.loads(capsys.readouterr().out)["figures"]
    assert figures["R1_iou0.5"]["difference"] == 0
    assert figures["mIoU"]["difference"] == pytest.approx(0, abs=1e-6)
    command.main(["compare", str(report_dir), str(report_dir), "--json"], read_revision=str)
    figures = json.loads(capsys.readouterr().out)["figures"]
    assert {one["difference"] for one in figures.values()} == {0, None}
