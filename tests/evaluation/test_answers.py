"""The rules that select answers for a report."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from corpus.moments import Moment
from corpus.records import Query
from evaluation.answers import Answer, choose_best, choose_confident_misses, choose_spread, choose_worst

Factory = Callable[..., Any]  # a fixture that makes things


@pytest.fixture
def build_answer(make_video: Factory) -> Factory:
    def build(number: int, *, iou: float, score: float, video_id: str = "", start_s: float = 0.0) -> Answer:
        video = make_video(video_id or f"v{number}", "test")
        query = Query(f"q{number}", video.video_id, "red", (Moment(0, 1),), "test")
        return Answer(query, video, np.array([[start_s, start_s + 1]]), np.array([score]), iou, None)

    return build


def test_the_spread_goes_from_good_to_bad_with_different_videos(build_answer: Factory) -> None:
    answers = [build_answer(number, iou=number / 20, score=0.5, video_id=f"v{number // 2}") for number in range(20)]
    chosen = choose_spread(answers, 4)
    assert [answer.iou for answer in chosen] == sorted((answer.iou for answer in chosen), reverse=True)
    assert chosen[0].iou > 0.7
    assert chosen[-1].iou < 0.25
    assert len({answer.video.video_id for answer in chosen}) == 4


def test_the_spread_of_few_answers_has_all_of_them(build_answer: Factory) -> None:
    answers = [build_answer(number, iou=number / 3, score=0.5, video_id="v") for number in range(3)]
    assert len(choose_spread(answers, 12)) == 3
    assert choose_spread([], 12) == []


def test_extremes_follow_their_rules(build_answer: Factory) -> None:
    answers = [
        build_answer(0, iou=0.9, score=0.1),
        build_answer(1, iou=0.2, score=0.9, start_s=1.0),
        build_answer(2, iou=0.0, score=0.3, start_s=3.0),
    ]
    assert choose_best(answers, 2) == [answers[0]]
    assert choose_best(answers[1:], 2) == [answers[1]]
    assert choose_worst(answers, 1) == [answers[2]]
    assert choose_confident_misses(answers, 2) == [answers[1], answers[2]]


def test_extremes_take_one_answer_per_video(build_answer: Factory) -> None:
    answers = [build_answer(number, iou=0.0, score=number / 10, video_id=f"v{number % 2}") for number in range(6)]
    assert choose_confident_misses(answers, 4) == [answers[5], answers[4]]
