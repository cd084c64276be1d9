"""Found or not found, limits, confidence, and the score over time."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.calibration import squash
from corpus.moments import RankedMoment
from serving.answering import MAX_TIMELINE_POINTS, add_over, build_timeline, give_confidence, judge
from serving.answers import Answer, SearchQuery, require_limits
from serving.calibration import Calibration
from serving.search import ScoredSpans

CALIBRATION = Calibration(slope=2.0, clip_slope=1.0, intercept=-1.5, threshold=0.5)
RANKED = [RankedMoment("a", 0.0, 2.0, 0.5), RankedMoment("b", 1.0, 2.0, 0.25), RankedMoment("a", 3.0, 4.0, -2.0)]


def ask(calibration: Calibration | None = CALIBRATION, clip_score: float = 1.0, **limits: float | int) -> Answer:
    return judge(RANKED, SearchQuery("a circle", **limits), calibration, clip_score=clip_score, unknown_words=["zebra"])


def test_confidence_by_hand_grows_with_the_score_and_with_the_best_clip() -> None:
    found = give_confidence(RANKED, CALIBRATION, clip_score=1.0)
    assert [moment.confidence for moment in found] == pytest.approx([float(squash(np.array(z))) for z in (0.5, 0.0, -4.5)])
    lower = give_confidence(RANKED, CALIBRATION, clip_score=0.0)
    assert all((one.confidence or 0) < (other.confidence or 0) for one, other in zip(lower, found, strict=True))


def test_something_is_found_when_the_best_reaches_the_threshold_and_all_moments_are_given() -> None:
    answer = ask()
    assert (answer.found, len(answer.moments), answer.best_guess) == (True, 3, None)
    assert answer.unknown_words == ("zebra",)


def test_a_sentence_of_mostly_unknown_words_is_not_found_unless_a_confidence_is_named() -> None:
    text = "a zebra, a dog yodels"  # three of five
    for calibration in (CALIBRATION, None):
        for unknown, is_found in ((["zebra", "dog"], True), (["zebra", "dog", "yodels"], False)):
            assert judge(RANKED, SearchQuery(text), calibration, clip_score=1.0, unknown_words=unknown).found is is_found
    named = SearchQuery(text, min_confidence=0)
    every = judge(RANKED, named, CALIBRATION, clip_score=1.0, unknown_words=["zebra", "dog", "yodels"])
    assert (every.found, len(every.moments)) == (True, 3)


def test_below_the_threshold_the_answer_is_the_best_guess_alone() -> None:
    answer = ask(clip_score=0.0)
    assert (answer.found, answer.moments) == (False, ())
    assert answer.best_guess is not None
    assert answer.best_guess[:3] == ("a", 0.0, 2.0)


def test_a_threshold_of_the_query_takes_the_place_of_the_calibrations() -> None:
    assert len(ask(clip_score=0.0, min_confidence=0.0).moments) == 3
    assert len(ask(min_confidence=0.5).moments) == 2
    assert ask(min_confidence=0.99).best_guess is not None


def test_moments_below_the_smallest_score_are_left_out() -> None:
    assert [moment.score for moment in ask(min_score=0.25).moments] == [0.5, 0.25]
    answer = ask(min_score=0.6)
    assert not answer.found
    assert answer.best_guess is not None


def test_without_calibration_whatever_there_is_counts_as_found() -> None:
    answer = ask(None)
    assert answer.found
    assert [moment.confidence for moment in answer.moments] == [None] * 3
    assert not ask(None, min_score=9.0).found


def test_nothing_at_all_gives_no_guess() -> None:
    answer = judge([], SearchQuery("a circle"), CALIBRATION, clip_score=0.0, unknown_words=[])
    assert answer == Answer(False, (), None, ())


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (SearchQuery("a", min_confidence=1.1), r"min_confidence must lie in \[0, 1\], got 1.1"),
        (SearchQuery("a", min_confidence=float("nan")), r"min_confidence must lie in \[0, 1\], got nan"),
        (SearchQuery("a", min_score=float("inf")), "min_score must be a finite number, got inf"),
        (SearchQuery("a", video_ids=frozenset()), "video_ids is empty; name the videos to search in, or leave it out"),
    ],
)
def test_limits_that_mean_nothing_are_refused(query: SearchQuery, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        require_limits(query)


def test_the_timeline_adds_the_shares_of_the_candidates_that_hold_each_clip() -> None:
    spans = np.array([[0.0, 4.0], [1.0, 3.0], [2.0, 2.1]])
    found = ScoredSpans(spans, np.log([1.0, 2.0, 1.0]))
    timeline = build_timeline(found, (), duration_s=5.0, num_clips=5)
    assert timeline.times_s.tolist() == [0.5, 1.5, 2.5, 3.5, 4.5]
    np.testing.assert_allclose(timeline.scores, [0.25, 0.75, 1.0, 0.25, 0.0], atol=1e-12)


def test_large_logits_and_no_candidates_have_a_timeline() -> None:
    sure = build_timeline(ScoredSpans(np.array([[0.0, 1.0], [1.0, 2.0]]), np.array([1e4, -1e4])), (), duration_s=2.0, num_clips=2)
    assert sure.scores.tolist() == [1.0, 0.0]
    nothing = build_timeline(ScoredSpans(np.zeros((0, 2)), np.zeros(0)), (), duration_s=2.0, num_clips=2)
    assert nothing.scores.tolist() == [0.0, 0.0]


def test_the_timeline_of_a_long_video_is_bounded_and_misses_no_candidate() -> None:
    found = ScoredSpans(np.array([[0.0, 7200.0], [3.0, 4.0]]), np.array([0.0, 0.0]))
    timeline = build_timeline(found, (), duration_s=7200.0, num_clips=14_400)
    assert len(timeline.times_s) == len(timeline.scores) == MAX_TIMELINE_POINTS
    assert timeline.scores[0] == 1.0
    assert (timeline.scores[1:] == 0.5).all()


@given(
    ranges=st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20), st.floats(0, 1)), max_size=20),
    num_points=st.integers(1, 20),
)
def test_what_is_added_over_each_point_equals_a_loop(ranges: list[tuple[int, int, float]], num_points: int) -> None:
    total = sum(row[2] for row in ranges) or 1.0
    cells = np.array([row[:2] for row in ranges], dtype=np.int64).reshape(-1, 2)
    shares = np.array([row[2] / total for row in ranges])
    slow = np.zeros(num_points)
    for (first, end), share in zip(cells, shares, strict=True):
        first = min(first, num_points - 1)
        slow[first : max(end, first + 1)] += share
    np.testing.assert_allclose(add_over(cells, shares, num_points=num_points), slow, atol=1e-9)
