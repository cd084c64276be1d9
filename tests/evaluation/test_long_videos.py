"""Test videos longer than those of training are read by windows, in a given video and over the collection."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from corpus.files import read_json, write_json
from corpus.records import load_corpus
from evaluation.examiner import EvaluationInputs
from evaluation.predictions import encode_text, load_models, open_windows, predict_moments, rank_moments
from evaluation.questions import prepare_questions
from evaluation.searching import build_index
from models.metrics.convention import IoURule
from models.metrics.tan2d import Tan2dConvention

pytestmark = pytest.mark.slow

Factory = Callable[..., Any]
LONGEST_S = 2.0  # of training; the test videos are 4 to 6 s long


@pytest.fixture(scope="module")
def long_world(tmp_path_factory: pytest.TempPathFactory, make_corpus: Factory, make_world: Factory) -> EvaluationInputs:
    inputs: EvaluationInputs = make_world(tmp_path_factory.mktemp("long"), make_corpus({"train": 3, "val": 3, "test": 4}))
    path = inputs.checkpoints_dir / "localizer" / "config.json"
    write_json(path, read_json(path) | {"longest_s": LONGEST_S})
    return inputs


@pytest.fixture(scope="module")
def predicted(long_world: EvaluationInputs) -> Any:
    models = load_models(
        encoder_dir=long_world.encoder_dir, features_dir=long_world.features_dir, checkpoints_dir=long_world.checkpoints_dir
    )
    questions = prepare_questions(load_corpus(long_world.corpus_dir), "test")
    return models, questions, encode_text(models, questions), open_windows(models, questions)


def test_all_candidates_of_all_windows_are_given_in_seconds_of_the_video(predicted: Any) -> None:
    models, questions, text, videos = predicted
    found = predict_moments(models.localizer, questions, text, videos)
    for row, video_id in enumerate(questions.video_ids):
        windows = videos.windows[video_id]
        assert len(windows) >= 3
        spans = found.spans[row][found.valid[row]]
        assert spans.max() == pytest.approx(questions.durations_s[row])
        lengths = spans[:, 1] - spans[:, 0]
        assert lengths.max() == pytest.approx(LONGEST_S)
        assert {float(start) for start in spans[:, 0]} >= {window.start_s for window in windows}


def test_answers_do_not_depend_on_how_many_queries_are_ranked_at_once(predicted: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    models, questions, text, videos = predicted
    convention = Tan2dConvention(iou_rule=IoURule.ABOVE, max_iou=0.5)
    whole = rank_moments(models.localizer, questions, text, videos, convention)
    monkeypatch.setattr("evaluation.predictions._QUERIES_PER_RANKING", 5)
    parts = rank_moments(models.localizer, questions, text, videos, convention)
    np.testing.assert_allclose(parts.spans, whole.spans, atol=1e-5)
    np.testing.assert_allclose(parts.scores, whole.scores, atol=1e-5)


def test_the_clip_index_passes_windows_on(predicted: Any) -> None:
    models, questions, _, videos = predicted
    index = build_index(models, questions, videos)
    query = np.full(index.embedding_dim, index.embedding_dim**-0.5, dtype=np.float32)
    found = index.search_windows(query, 99)
    assert len(found) == sum(map(len, videos.windows.values()))
    assert index.num_clips == sum(models.store.stream("video").count_clips(video.video_id) for video in questions.videos)


def test_a_whole_evaluation_of_long_videos(long_world: EvaluationInputs, tmp_path: Path, run_evaluation: Factory) -> None:
    summary = run_evaluation(long_world, tmp_path)
    assert summary["test"]["floors"]["shuffled"]["mIoU"] > 0
    for line in (tmp_path / "predictions.jsonl").read_text().splitlines():
        row = json.loads(line)
        for start_s, end_s, _ in row["pred_relevant_windows"]:
            assert 0 <= start_s < end_s <= start_s + LONGEST_S + 1e-5
        assert row["pred_collection_moments"]
