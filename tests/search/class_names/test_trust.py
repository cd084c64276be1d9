"""Trust in answers by class names: found at a similarity of 0.4 or more, otherwise unsure, with the same moments."""

from typing import Any

import pytest

from corpus.moments import RankedMoment
from search.answers import Answer, SearchBasis, SearchQuery, Verdict
from search.class_names.trust import describe_trust, judge_by_names

RANKED = [RankedMoment("a", 0.0, 2.0, 3.0), RankedMoment("b", 1.0, 2.0, 1.0)]


def ask(grounding: float, ranked: list[RankedMoment] = RANKED, **limits: Any) -> Answer:
    return judge_by_names(ranked, SearchQuery("a dog", **limits), SearchBasis(grounding, ()), unknown_words=["dog"])


@pytest.mark.parametrize(("grounding", "verdict"), [(0.0, Verdict.UNSURE), (0.39, Verdict.UNSURE), (0.4, Verdict.FOUND)])
def test_the_verdict_follows_the_nearest_name_and_the_moments_do_not(grounding: float, verdict: Verdict) -> None:
    answer = ask(grounding)
    assert answer.verdict is verdict
    assert [moment.video_id for moment in answer.moments] == ["a", "b"]
    assert answer.best_guess is None
    assert answer.reason == ("" if answer.found else describe_trust(grounding))
    assert (answer.unknown_words, answer.basis) == (("dog",), SearchBasis(grounding, ()))


def test_limits_hold_and_leave_a_best_guess() -> None:
    assert len(ask(0.3, top_k=1).moments) == 1
    answer = ask(0.9, min_score=4.0)
    assert (answer.verdict, answer.moments) == (Verdict.UNSURE, ())
    assert answer.best_guess is not None
    assert answer.best_guess.video_id == "a"


def test_a_confidence_of_0_finds_every_moment() -> None:
    assert len(ask(0.1, min_confidence=0.0).moments) == 2
    assert ask(0.1, min_confidence=0.0).found


def test_without_moments_nothing_is_found() -> None:
    assert ask(0.9, []) == Answer(Verdict.NOT_FOUND, (), None, ("dog",), basis=SearchBasis(0.9, ()))
