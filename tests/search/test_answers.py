"""Found, unsure or not found, limits, confidence, and the score over time."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.moments import RankedMoment
from search.answers import (
    MAX_TIMELINE_POINTS,
    Answer,
    SearchQuery,
    Verdict,
    add_over,
    build_timeline,
    give_confidence,
    judge,
    require_limits,
)
from search.calibration import LEAST_AUC, Calibration, squash, to_logits
from search.two_stage import ScoredSpans

CALIBRATION = Calibration(slope=2.0, clip_slope=1.0, standing_slope=0.5, intercept=-1.5, threshold=0.5, auc=0.8)
RANKED = [RankedMoment("a", 0.0, 2.0, 0.5), RankedMoment("b", 1.0, 2.0, 0.25), RankedMoment("a", 3.0, 4.0, -2.0)]
SCORES = np.array([moment.score for moment in RANKED])


def ask(calibration: Calibration | None = CALIBRATION, clip_score: float = 1.0, **limits: float | int) -> Answer:
    presence = None if calibration is None else calibration.assess(SCORES, clip_score=clip_score)
    return judge(RANKED, SearchQuery("a circle", **limits), presence, unknown_words=["zebra"])


def with_auc(auc: float) -> Calibration:
    return CALIBRATION.model_copy(update={"auc": auc})


def test_confidence_by_hand_grows_with_all_its_evidence() -> None:
    found = give_confidence(RANKED, CALIBRATION.assess(SCORES, clip_score=1.0))
    assert [moment.confidence for moment in found] == pytest.approx([float(squash(np.array(z))) for z in (0.5, 0.0, -4.5)])
    for changed in ({"clip_score": 1.1}, {"clip_score": 1.0, "standing": 0.1}):
        higher = give_confidence(RANKED, CALIBRATION.assess(SCORES, **changed))
        assert all((one.confidence or 0) > (other.confidence or 0) for one, other in zip(higher, found, strict=True))


def test_logits_are_the_inverse_of_the_logistic_function() -> None:
    logits = np.array([-20.0, -2.0, 0.0, 5.0])
    np.testing.assert_allclose(to_logits(squash(logits)), logits, rtol=1e-6)
    assert np.isfinite(to_logits(np.array([0.0, 1.0]))).all()


def test_all_moments_are_found_if_the_best_reaches_the_threshold() -> None:
    answer = ask()
    assert (answer.verdict, answer.found, len(answer.moments), answer.best_guess) == (Verdict.FOUND, True, 3, None)
    assert answer.unknown_words == ("zebra",)
    assert answer.reason == ""


def test_a_sentence_of_mostly_unknown_words_leaves_the_models_unsure_unless_a_confidence_is_named() -> None:
    text, known, unknown = "a zebra, a dog yodels", ["zebra", "dog"], ["zebra", "dog", "yodels"]  # three of five
    presence = CALIBRATION.assess(SCORES, clip_score=1.0)
    assert judge(RANKED, SearchQuery(text), presence, unknown_words=known).found
    for said in (presence, None):
        answer = judge(RANKED, SearchQuery(text), said, unknown_words=unknown)
        assert (answer.verdict, answer.moments) == (Verdict.UNSURE, ())
        assert answer.best_guess is not None
        assert answer.reason == "The models know 2 of the sentence's 5 words."
    every = judge(RANKED, SearchQuery(text, min_confidence=0), presence, unknown_words=unknown)
    assert (every.found, len(every.moments)) == (True, 3)


def test_below_the_threshold_the_answer_is_only_the_best_guess() -> None:
    answer = ask(clip_score=0.0)
    assert (answer.verdict, answer.moments, answer.reason) == (Verdict.NOT_FOUND, (), "")
    assert answer.best_guess is not None
    assert answer.best_guess[:3] == ("a", 0.0, 2.0)


@pytest.mark.parametrize(("auc", "verdict"), [(LEAST_AUC, Verdict.NOT_FOUND), (LEAST_AUC - 0.001, Verdict.UNSURE)])
def test_models_below_the_least_area_never_say_that_something_is_not_there(auc: float, verdict: Verdict) -> None:
    assert ask(with_auc(auc), clip_score=0.0).verdict is verdict
    assert ask(with_auc(auc)).verdict is Verdict.FOUND


def test_an_unsure_answer_keeps_its_moments_and_says_why() -> None:
    answer = ask(with_auc(0.65), clip_score=0.0, top_k=2)
    assert (len(answer.moments), answer.best_guess) == (2, None)
    assert answer.reason.startswith("These models separate present from absent moments with an area under the ROC curve of 0.65;")
    limited = ask(with_auc(0.65), clip_score=0.0, min_confidence=0.9)
    assert (limited.verdict, limited.moments) == (Verdict.UNSURE, ())
    assert limited.best_guess is not None


def test_the_threshold_of_a_query_replaces_that_of_the_calibration() -> None:
    assert len(ask(clip_score=0.0, min_confidence=0.0).moments) == 3
    assert len(ask(min_confidence=0.5).moments) == 2
    assert ask(min_confidence=0.99).best_guess is not None


def test_moments_below_the_smallest_score_are_left_out() -> None:
    assert [moment.score for moment in ask(min_score=0.25).moments] == [0.5, 0.25]
    answer = ask(min_score=0.6)
    assert answer.verdict is Verdict.NOT_FOUND
    assert answer.best_guess is not None


def test_without_any_calibration_the_models_are_unsure_of_what_they_show() -> None:
    answer = ask(None)
    assert answer.verdict is Verdict.UNSURE
    assert answer.reason == 'The reliability of "not found" has not been measured for these models.'
    assert [moment.confidence for moment in answer.moments] == [None] * 3
    assert ask(None, min_confidence=0).found
    with pytest.raises(ValueError, match=r"min_confidence = 0.5: these models give no confidence, .*; use min_score"):
        ask(None, min_confidence=0.5)


def test_without_moments_there_is_no_guess() -> None:
    presence = CALIBRATION.assess(np.zeros(0), clip_score=0.0)
    for said in (presence, None):
        assert judge([], SearchQuery("a circle"), said, unknown_words=[]) == Answer(Verdict.NOT_FOUND, (), None, ())


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (SearchQuery("a", min_confidence=1.1), r"min_confidence must lie in \[0, 1\], got 1.1"),
        (SearchQuery("a", min_confidence=float("nan")), r"min_confidence must lie in \[0, 1\], got nan"),
        (SearchQuery("a", min_score=float("inf")), "min_score must be a finite number, got inf"),
        (SearchQuery("a", video_ids=frozenset()), "video_ids is empty; name the videos to search in, or leave it out"),
    ],
)
def test_meaningless_limits_are_refused(query: SearchQuery, message: str) -> None:
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
def test_the_sum_at_each_point_equals_a_loop(ranges: list[tuple[int, int, float]], num_points: int) -> None:
    total = sum(row[2] for row in ranges) or 1.0
    cells = np.array([row[:2] for row in ranges], dtype=np.int64).reshape(-1, 2)
    shares = np.array([row[2] / total for row in ranges])
    slow = np.zeros(num_points)
    for (first, end), share in zip(cells, shares, strict=True):
        first = min(first, num_points - 1)
        slow[first : max(end, first + 1)] += share
    np.testing.assert_allclose(add_over(cells, shares, num_points=num_points), slow, atol=1e-9)
