"""Scores of arms equal those of stage `evaluate`, on a small project with untrained models."""

from typing import Any

import numpy as np
import pytest
import torch

from corpus.records import load_corpus
from corpus.store import FeatureStore
from corpus.windows import WindowRule
from evaluation.examiner import EvaluationPlan, build_examiner
from evaluation.predictions import TrainedModels
from flows.bench import latency
from flows.bench.examining import Measured
from flows.bench.grid_localizer import GridLocalizer
from flows.bench.latency import time_localizer, time_retriever
from flows.bench.scoring import Examination, score_floor, score_localizer, score_retriever
from models.artefacts.checkpoint import load_localizer, load_retriever
from models.artefacts.encoder_files import load_encoders
from models.blinds.text_only import TextOnlyParams
from models.contracts.batches import InputDims
from models.training.retriever import NUM_CELLS
from pipeline.training.inputs import TrainInputs
from search.params import SearchParams

pytestmark = pytest.mark.slow

SEARCH = SearchParams(survivors=3, window_weight=2, localizer_weight=0.05, max_iou=0.5, moments_per_video=5)
PLAN = EvaluationPlan(search=SEARCH, split="test", hit_rate=0.9, bootstrap_samples=50, seed=1)


@pytest.fixture(scope="module")
def exam(small_models: Any) -> Examination:
    """Return the data and rules of the small project."""
    torch.set_num_threads(1)
    inputs = TrainInputs(
        load_corpus(small_models.corpus), FeatureStore(small_models.features), load_encoders(small_models.encoder)
    )
    return Examination(inputs, PLAN)


def build_blind() -> Any:
    """Return an untrained text-only floor, the same each time."""
    torch.manual_seed(0)
    return TextOnlyParams(name="text_only", num_cells=8, hidden_dim=4).build(InputDims({}, text_dim=8)).eval()


@pytest.fixture(scope="module")
def evaluated(exam: Examination, small_models: Any) -> dict[str, Any]:
    """Return the figures of stage `evaluate` for the project's localizer and a text-only floor."""
    localizer, _ = load_localizer(small_models.checkpoints / "localizer")
    retriever, _ = load_retriever(small_models.checkpoints / "retriever")
    models = TrainedModels(exam.inputs.encoders, exam.inputs.store, retriever, localizer, blind=build_blind(), rule=exam.rule)
    examiner = build_examiner(PLAN, models=models, corpus=exam.inputs.corpus)
    return examiner.score(exam.questions, with_collection=False).summary


def test_a_localizer_gets_the_figures_and_intervals_of_stage_evaluate(
    exam: Examination, evaluated: dict[str, Any], small_models: Any
) -> None:
    scores = score_localizer(load_localizer(small_models.checkpoints / "localizer")[0], exam)
    assert scores.figures == evaluated["localizer"]
    assert scores.others["shuffled"] == evaluated["floors"]["shuffled"]
    assert (scores.queries, scores.videos) == (2, 2)
    assert scores.unpack_iou().mean() == pytest.approx(scores.figures["mIoU"], abs=1e-6)


def test_the_floors_are_those_of_stage_evaluate(exam: Examination, evaluated: dict[str, Any], small_models: Any) -> None:
    scores = score_floor(build_blind(), exam)
    assert {name: scores.others[name] for name in ("prior", "whole_video", "chance")} == {
        name: evaluated["floors"][name] for name in ("prior", "whole_video", "chance")
    }
    assert scores.figures["mIoU"] == evaluated["floors"]["blind"]["mIoU"]


def test_a_retriever_is_scored_over_the_collection_and_in_the_right_video(exam: Examination, small_models: Any) -> None:
    retriever, _ = load_retriever(small_models.checkpoints / "retriever")
    scores = score_retriever(retriever, exam)
    found = scores.others["collection"]
    assert found["videos"] == 2
    assert found["right_video"] == 1.0  # both videos survive the first stage
    assert (found["R1"] or 0) <= (scores.figures["R1_iou0.5"] or 0)  # a right answer is also right in the right video
    metrics = Measured(5, scores, ()).list_metrics()
    assert metrics["test/collection/R10"] == found["R10"]
    assert metrics["parameters"] == 5.0


def test_the_grid_prefers_no_span(exam: Examination, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(vars(exam), "rule", WindowRule(8.0))  # every video is one window
    grid = GridLocalizer(("video",), 4)
    videos = exam.open_windows(grid)
    scores = score_localizer(grid, exam)
    assert len(videos.windows) == 2
    assert len(grid.grid) == 10
    assert scores.others["shuffled"] == {name: scores.figures[name] for name in scores.others["shuffled"]}
    assert NUM_CELLS == 32


def test_a_split_without_queries_is_refused(exam: Examination) -> None:
    with pytest.raises(
        ValueError, match="evaluate.split = 'test_shifted': that split has no queries; splits with queries: train"
    ):
        Examination(exam.inputs, PLAN._replace(split="test_shifted"))


def test_latency_is_measured_on_one_and_two_threads_and_restores_the_number_of_threads(
    exam: Examination, small_models: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    monkeypatch.setattr(latency, "_CALLS", 8)
    found = time_localizer(load_localizer(small_models.checkpoints / "localizer")[0], exam)
    found += time_retriever(load_retriever(small_models.checkpoints / "retriever")[0], exam)
    assert [(one.what, one.threads) for one in found] == [
        (what, threads)
        for what in ("a video and a sentence", "embedding a video", "a sentence in an embedded video")
        for threads in (1, 2)
    ]
    assert all(np.isfinite(one.median_ms) and one.median_ms > 0 for one in found)
    assert torch.get_num_threads() == 1
