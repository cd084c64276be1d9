"""The stage `evaluate` on a small drawn corpus with untrained models."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from corpus.records import Corpus
from corpus.store import Fingerprint, FingerprintMismatchError
from evaluation.examiner import EvaluationInputs, EvaluationPlan, evaluate, list_splits
from search.params import SearchParams
from stages.evaluate import describe_group

Factory = Callable[..., Any]  # a fixture that makes things


def test_every_scored_split_has_its_group_with_floors(metrics: dict[str, Any]) -> None:
    assert list(metrics) == ["test", "test_unseen", "val"]
    for group in metrics.values():
        assert sorted(group["floors"]) == ["blind", "chance", "prior", "shuffled", "whole_video"]
        assert {"R1_iou0.5", "R1_iou0.5_low", "R1_iou0.5_high", "R5_iou0.7", "mIoU"} <= group["localizer"].keys()
    assert "collection" in metrics["test"]
    assert "collection" in metrics["val"]


def test_the_compared_metrics_are_few_and_the_summary_has_all(report_dir: Path, metrics: dict[str, Any]) -> None:
    summary = json.loads((report_dir / "summary.json").read_text())["test"]
    assert summary["localizer"]["R5_iou0.7_low"] is not None
    assert "R5_iou0.7_low" not in metrics["test"]["localizer"]
    assert metrics["test"]["floors"]["prior"].keys() == {"R1_iou0.5", "mIoU"}
    assert summary["floors"]["prior"].keys() > {"R1_iou0.5", "mIoU", "R5_iou0.7"}


def test_unlabelled_videos_belong_to_the_collection(metrics: dict[str, Any]) -> None:
    assert metrics["test"]["queries"] == 16
    assert metrics["test"]["collection"]["videos"] == 5


def test_the_margin_is_the_localizer_minus_the_best_floor(metrics: dict[str, Any]) -> None:
    group = metrics["test"]
    floors = {name: values["R1_iou0.5"] for name, values in group["floors"].items() if values["R1_iou0.5"] is not None}
    assert floors[group["best_floor"]] == max(floors.values())
    margin = group["localizer"]["R1_iou0.5"] - max(floors.values())
    assert group["margin_over_best_floor"] == pytest.approx(margin, abs=2e-6)


@pytest.mark.slow
def test_floors_that_nothing_taught_have_a_reason_and_no_figures(
    tmp_path: Path,
    make_corpus: Factory,
    make_world: Factory,
    run_evaluation: Factory,
) -> None:
    inputs = make_world(tmp_path, make_corpus({"val": 1, "test": 2}))
    group = run_evaluation(inputs, tmp_path / "report")["test"]
    for name in ("prior", "blind"):
        assert group["floors"][name]["R1_iou0.5"] is None
        assert group["floors"][name]["reason"] == "the training split has no queries"
    assert group["floors"][group["best_floor"]]["R1_iou0.5"] is not None


@pytest.mark.slow
def test_one_test_video_has_no_interval_and_no_shuffled_floor(
    tmp_path: Path,
    make_corpus: Factory,
    make_world: Factory,
    run_evaluation: Factory,
) -> None:
    inputs = make_world(tmp_path, make_corpus({"train": 1, "val": 1, "test": 1}))
    group = run_evaluation(inputs, tmp_path / "report")["test"]
    assert group["localizer"]["R1_iou0.5_low"] is None
    assert group["floors"]["shuffled"]["R1_iou0.5"] is None
    assert group["floors"]["shuffled"]["reason"] == "needs queries about at least two videos, the split has 1"
    assert "one video, no interval" in describe_group("test", group)
    assert "not computed: needs queries about at least two videos" in (tmp_path / "report" / "index.html").read_text()


@pytest.mark.slow
def test_a_validation_split_without_queries_is_reported_and_not_scored(
    tmp_path: Path,
    make_corpus: Factory,
    make_world: Factory,
    run_evaluation: Factory,
) -> None:
    corpus = make_corpus({"train": 2, "val": 1, "test": 2})
    inputs = make_world(tmp_path, Corpus(corpus.videos, tuple(query for query in corpus.queries if query.split != "val")))
    metrics = run_evaluation(inputs, tmp_path / "report")
    assert metrics["val"] == {"queries": 0, "videos": 1}


def test_a_split_without_queries_is_refused_with_the_available_splits(
    world: EvaluationInputs, tmp_path: Path, search: SearchParams
) -> None:
    plan = EvaluationPlan(search=search, split="tset", hit_rate=0.9, bootstrap_samples=10, seed=0)
    with pytest.raises(
        ValueError, match=r"evaluate.split = 'tset': that split has no queries; splits with queries: train, val, test"
    ):
        evaluate(plan, world)
    assert not any(tmp_path.iterdir())


def test_features_of_another_encoder_are_refused(
    world: EvaluationInputs,
    tmp_path: Path,
    make_corpus: Factory,
    make_features: Factory,
    run_evaluation: Factory,
) -> None:
    corpus = make_corpus({"train": 4, "val": 3, "test": 5, "test_unseen": 2})
    make_features(tmp_path / "features", corpus, Fingerprint({"weights": "others"}, {}))
    with pytest.raises(FingerprintMismatchError, match="the trained retriever was made with other features"):
        run_evaluation(world._replace(features_dir=tmp_path / "features"), tmp_path / "report")


def test_missing_checkpoints_name_the_command_that_makes_them(
    world: EvaluationInputs, tmp_path: Path, run_evaluation: Factory
) -> None:
    with pytest.raises(FileNotFoundError, match="no trained retriever; run: dvc repro train@retriever"):
        run_evaluation(world._replace(checkpoints_dir=tmp_path), tmp_path / "report")


def test_the_chosen_split_comes_first_and_no_split_twice(make_corpus: Factory) -> None:
    corpus = make_corpus({"train": 1, "val": 1, "test": 1, "test_swapped": 1, "test_unseen": 1})
    assert list_splits(corpus, "test") == ["test", "val", "test_swapped", "test_unseen"]
    assert list_splits(corpus, "test_unseen") == ["test_unseen", "val", "test_swapped"]
    assert list_splits(corpus, "val") == ["val", "test_swapped", "test_unseen"]


def test_the_second_convention_has_its_table_with_floors(report_dir: Path) -> None:
    group = json.loads((report_dir / "summary.json").read_text())["test"]["qvhighlights"]
    assert sorted(group["floors"]) == ["blind", "chance", "prior", "shuffled", "whole_video"]
    assert {"R1_iou0.5", "R1_iou0.5_low", "mAP_avg_high", "short_mAP_avg"} <= group["localizer"].keys()
    assert 0 < group["floors"]["chance"]["mAP_avg"] < 1
    assert group["floors"]["prior"].keys() == group["floors"]["chance"].keys()


def test_hits_at_the_threshold_count_under_the_second_convention(report_dir: Path) -> None:
    group = json.loads((report_dir / "summary.json").read_text())["test"]
    for name in ("R1_iou0.3", "R1_iou0.5", "R1_iou0.7"):
        assert group["qvhighlights"]["localizer"][name] >= group["localizer"][name]


def test_the_collection_has_a_discounted_gain_with_its_floors(report_dir: Path) -> None:
    group = json.loads((report_dir / "summary.json").read_text())["test"]["collection"]
    assert 0 <= group["NDCG10_low"] <= group["NDCG10"] <= group["NDCG10_high"] <= 1
    assert 0 < group["chance_NDCG10"] < 0.5
    assert group["shuffled_NDCG10"] is not None
