"""The predictor over the exported bundle agrees with the torch predictions of `evaluate`, in one video and over all."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from corpus.moments import RankedMoment
from search.answers import FoundMoment, SearchQuery
from search.predictor import MAX_QUERIES, MomentPredictor

MAX_DIFFERENCE = 1e-4
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def predictor(tiny_pipeline: Path) -> MomentPredictor:
    return MomentPredictor.load(tiny_pipeline / "data" / "bundle", tiny_pipeline / "data" / "index", num_threads=1)


@pytest.fixture(scope="module")
def predictions(tiny_pipeline: Path) -> list[dict[str, Any]]:
    path = tiny_pipeline / "data" / "reports" / "evaluation" / "predictions.jsonl"
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def require_same_answers(served: Sequence[FoundMoment], predicted: Sequence[RankedMoment]) -> None:
    """Compare scores in order, and spans except where scores differ by less than the largest difference."""
    assert len(served) == len(predicted)
    scores = np.array([moment.score for moment in predicted])
    np.testing.assert_allclose([moment.score for moment in served], scores, atol=MAX_DIFFERENCE)
    for rank, moment in enumerate(served):
        near = [predicted[other] for other in np.flatnonzero(np.abs(scores - scores[rank]) < MAX_DIFFERENCE)]
        assert any(moment.video_id == one.video_id and moment[1:3] == pytest.approx(one[1:3], abs=1e-3) for one in near), (
            f"rank {rank}: {moment} is not among {near}"
        )


def test_one_video_gives_the_predicted_windows(predictor: MomentPredictor, predictions: list[dict[str, Any]]) -> None:
    for row in predictions:
        answer = predictor.localize(row["query"], row["vid"], top_k=20)
        assert answer.timeline is not None
        predicted = [RankedMoment(row["vid"], *window) for window in row["pred_relevant_windows"]]
        require_same_answers(answer.timeline.candidates[: len(predicted)], predicted)


def test_the_collection_gives_the_predicted_moments(predictor: MomentPredictor, predictions: list[dict[str, Any]]) -> None:
    videos = predictor.collection.videos
    split = frozenset(video_id for video_id, video in videos.items() if video.split == videos[predictions[0]["vid"]].split)
    everything = None if predictor.bundle.manifest.calibration.search is None else 0.0  # includes answers below the threshold
    for start in range(0, len(predictions), MAX_QUERIES):
        rows = predictions[start : start + MAX_QUERIES]
        queries = [SearchQuery(row["query"], 100, video_ids=split, min_confidence=everything) for row in rows]
        for row, answer in zip(rows, predictor.search(queries), strict=True):
            require_same_answers(answer.moments, [RankedMoment(*moment) for moment in row["pred_collection_moments"]])
