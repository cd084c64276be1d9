"""Questions and their answers over a collection."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from corpus.moments import Moment, RankedMoment
from corpus.records import Corpus, Query
from evaluation.questions import prepare_questions
from evaluation.tables.collection_table import score_collection
from evaluation.tables.scores import Scoring
from models.metrics.convention import IoURule
from models.metrics.floors import build_unit_cells
from models.metrics.tan2d import Tan2dConvention

Factory = Callable[..., Any]  # a fixture that makes things


def build_scoring() -> Scoring:
    return Scoring(Tan2dConvention(iou_rule=IoURule.ABOVE, max_iou=0.5), build_unit_cells(4), bootstrap_samples=20, seed=0)


def test_collection_recall_counts_moments_elsewhere(make_video: Factory) -> None:
    videos = tuple(make_video(video_id, "test") for video_id in ("a", "b"))
    query = Query("q", "a", "red", (Moment(0, 1),), "test", elsewhere={"b": (Moment(2, 4),)})
    answers = [[RankedMoment("b", 2.0, 4.0, 1.0)]]
    for asked, rank in ((query, 1.0), (replace(query, elsewhere={}), np.inf)):
        questions = prepare_questions(Corpus(videos, (asked,)), "test")
        assert score_collection(answers, questions, build_scoring(), moments_per_video=5).ranks.tolist() == [rank]


def test_a_query_about_a_video_of_another_split_is_refused(make_video: Factory) -> None:
    corpus = Corpus((make_video("a", "train"),), (Query("q", "a", "red", (Moment(0, 1),), "test"),))
    with pytest.raises(ValueError, match="query 'q' of split 'test' is about 'a', which is not a video of that split"):
        prepare_questions(corpus, "test")
