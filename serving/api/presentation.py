"""Conversion of the predictor's answers into response schemas."""

import secrets
from collections.abc import Callable

from search.answers import Answer, FoundMoment, SearchBasis
from search.class_names.trust import describe_trust
from serving.api.schemas import Basis, BasisClass, Moment, SearchAnswer, Timeline
from serving.library.catalogue import Brief

FindBrief = Callable[[str], Brief]


def build_answer(query: str, answer: Answer, find_brief: FindBrief) -> SearchAnswer:
    """Return the answer to one sentence; `find_brief` gives the facts of a video that are shown with a moment."""
    return SearchAnswer(
        answer_id=secrets.token_hex(8),
        query=query,
        verdict=answer.verdict,
        reason=answer.reason,
        found=answer.found,
        moments=[_build_moment(moment, find_brief) for moment in answer.moments],
        best_guess=_build_moment(answer.best_guess, find_brief) if answer.best_guess else None,
        unknown_words=list(answer.unknown_words),
        basis=_build_basis(answer.basis) if answer.basis else None,
    )


def build_timeline(answer: Answer, find_brief: FindBrief) -> Timeline:
    """Return the timeline of the answer about one video."""
    assert answer.timeline is not None
    times_s, scores, candidates = answer.timeline
    return Timeline(
        times_s=times_s.tolist(),
        scores=scores.tolist(),
        candidates=[_build_moment(moment, find_brief) for moment in candidates],
    )


def _build_basis(basis: SearchBasis) -> Basis:
    classes = [BasisClass(**one._asdict()) for one in basis.classes]
    return Basis(grounding=basis.grounding, note=describe_trust(basis.grounding), classes=classes)


def _build_moment(moment: FoundMoment, find_brief: FindBrief) -> Moment:
    brief = find_brief(moment.video_id)
    return Moment(**moment._asdict(), title=brief.title, duration_s=brief.duration_s, num_thumbnails=brief.num_thumbnails)
