"""Search queries and answers: limits, confidence, found, unsure or not found, and the timeline of a video. NumPy only.

Letters: M candidates of a video, S points of time.
"""

import math
from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

import numpy as np

from corpus.moments import Floats, Ints, RankedMoment
from corpus.text.words import tokenize
from search.calibration import LEAST_AUC, Presence
from search.two_stage import ScoredSpans

MAX_TOP_K = 100
MAX_QUERIES = 64  # asked at once
MAX_QUERY_CHARACTERS = 1000
MAX_TIMELINE_POINTS = 1000
TIMELINE_CANDIDATES = 20


class SearchQuery(NamedTuple):
    """A sentence and the limits of its answer."""

    query: str
    top_k: int = 5
    video_ids: frozenset[str] | None = None  # search these videos only; None: the whole collection
    min_score: float | None = None  # drops moments below it
    min_confidence: float | None = None  # drops moments below it, replaces the bundle's threshold; 0 keeps every moment


class FoundMoment(NamedTuple):
    """A span of a video that may show what the sentence describes."""

    video_id: str
    start_s: float
    end_s: float
    score: float  # ranks; higher is better
    confidence: float | None  # in [0, 1], grows with the score; None if the bundle has no calibration


class Timeline(NamedTuple):
    """Fit of a sentence to a video over time."""

    times_s: Floats  # (S,), evenly spaced
    scores: Floats  # (S,) in [0, 1]: the share of the candidates that hold that time, or how well the frames there fit
    candidates: tuple[FoundMoment, ...]  # the best moments of the video after suppression, best first


class BasisClass(NamedTuple):
    """A class that took part in an answer."""

    name: str
    weight: float  # of its fit in the score, above 0; those of an answer have the sum 1
    similarity: float  # of its name to the sentence, in (0, 1]


class SearchBasis(NamedTuple):
    """What a zero-shot answer rests on."""

    grounding: float  # the similarity of the nearest class name, in [0, 1]: how far the answer can be trusted
    classes: tuple[BasisClass, ...]  # the heaviest first


class Verdict(StrEnum):
    """Whether the searched videos contain the moment that a sentence describes."""

    FOUND = "found"
    UNSURE = "unsure"  # the models cannot tell
    NOT_FOUND = "not_found"


class Answer(NamedTuple):
    """The answer to one sentence: a verdict, and moments or the best guess."""

    verdict: Verdict
    moments: tuple[FoundMoment, ...]  # best first; empty if nothing was found, or nothing meets the query's limits
    best_guess: FoundMoment | None  # the closest moment, if `moments` is empty and a video was searched
    unknown_words: tuple[str, ...]  # that the models never saw; they add nothing to the search
    reason: str = ""  # why the verdict is unsure, as a sentence; empty otherwise
    timeline: Timeline | None = None  # of a search in one video
    basis: SearchBasis | None = None  # of models that answer by the names of classes

    @property
    def found(self) -> bool:
        """Tell whether the verdict is "found"."""
        return self.verdict is Verdict.FOUND


def require_query(query: str) -> None:
    """Refuse a sentence that is too long or has no words.

    Raises:
        ValueError: naming the sentence or its length.
    """
    if len(query) > MAX_QUERY_CHARACTERS:
        raise ValueError(f"the sentence has {len(query)} characters, at most {MAX_QUERY_CHARACTERS} are read; shorten it")
    tokenize(query)


def require_top_k(top_k: int) -> None:
    """Refuse a number of answers out of range.

    Raises:
        ValueError: naming the number.
    """
    if not 1 <= top_k <= MAX_TOP_K:
        raise ValueError(f"top_k must be between 1 and {MAX_TOP_K}, got {top_k}")


def require_limits(query: SearchQuery) -> None:
    """Refuse limits that are empty, infinite or out of range.

    Raises:
        ValueError: naming the limit and its value.
    """
    require_top_k(query.top_k)
    if query.video_ids is not None and not query.video_ids:
        raise ValueError("video_ids is empty; name the videos to search in, or leave it out to search in all")
    if query.min_score is not None and not math.isfinite(query.min_score):
        raise ValueError(f"min_score must be a finite number, got {query.min_score}")
    if query.min_confidence is not None and not 0 <= query.min_confidence <= 1:
        raise ValueError(f"min_confidence must lie in [0, 1], got {query.min_confidence}")


def judge(
    ranked: Sequence[RankedMoment], query: SearchQuery, presence: Presence | None, *, unknown_words: Sequence[str]
) -> Answer:
    """Return the answer to a query from its ranked moments, best first, and what their evidence says about presence.

    The verdict is "found" if a moment meets the query's limits and the best one's confidence reaches the threshold. The query's
    `min_confidence` replaces the threshold of the calibration, and 0 finds every moment. Otherwise the verdict is "not found",
    or "unsure" if `explain_doubt` says why the models cannot tell. Unsure answers keep their moments.
    If most words are unknown, the moments answer another sentence. They are then only a best guess, unless the query sets
    `min_confidence`. An empty `ranked` means that the search had no video.

    Raises:
        ValueError: when the query sets `min_confidence` and `presence` is None.
    """
    if presence is None and query.min_confidence:
        raise ValueError(
            f"min_confidence = {query.min_confidence}: these models give no confidence, because they know too few words of the "
            "bank of sentences; use min_score"
        )
    if not ranked:
        return Answer(Verdict.NOT_FOUND, (), None, tuple(unknown_words))
    moments = give_confidence(ranked, presence)
    kept = limit_moments(moments, query)
    is_named = query.min_confidence is not None
    is_understood = is_named or not _is_mostly_unknown(query, unknown_words)
    if kept and is_understood and (is_named or (presence is not None and presence.confidences[0] >= presence.threshold)):
        return Answer(Verdict.FOUND, kept, None, tuple(unknown_words))
    doubt = explain_doubt(query, presence, unknown_words)
    shown = kept if doubt and is_understood else ()
    guess = None if shown else moments[0]
    return Answer(Verdict.UNSURE if doubt else Verdict.NOT_FOUND, shown, guess, tuple(unknown_words), doubt)


def explain_doubt(query: SearchQuery, presence: Presence | None, unknown_words: Sequence[str]) -> str:
    """Return why a sentence that was not found may still be true somewhere, as a sentence; empty if it may not.

    The text is empty if the models know most of its words, and the measured area under the ROC curve of their confidence
    reaches `LEAST_AUC`.
    """
    num_words = len(tokenize(query.query))
    if _is_mostly_unknown(query, unknown_words):
        return f"The models know {num_words - len(unknown_words)} of the sentence's {num_words} words."
    if presence is None or presence.auc is None:
        return 'The reliability of "not found" has not been measured for these models.'
    if presence.auc < LEAST_AUC:
        return (
            f"These models separate present from absent moments with an area under the ROC curve of {presence.auc:.2f}; "
            f'below {LEAST_AUC}, "not found" is not reliable.'
        )
    return ""


def _is_mostly_unknown(query: SearchQuery, unknown_words: Sequence[str]) -> bool:
    return 2 * len(unknown_words) > len(tokenize(query.query))


def limit_moments(moments: Sequence[FoundMoment], query: SearchQuery) -> tuple[FoundMoment, ...]:
    """Return the first `top_k` of the moments that meet the limits of a query."""
    return tuple(moment for moment in moments if _meets(moment, query))[: query.top_k]


def give_confidence(ranked: Sequence[RankedMoment], presence: Presence | None) -> tuple[FoundMoment, ...]:
    """Return moments with their confidence, `None` without `presence`."""
    if presence is None:
        return tuple(FoundMoment(*moment, confidence=None) for moment in ranked)
    pairs = zip(ranked, presence.confidences, strict=True)
    return tuple(FoundMoment(*moment, confidence=float(value)) for moment, value in pairs)


def build_timeline(candidates: ScoredSpans, shown: tuple[FoundMoment, ...], *, duration_s: float, num_clips: int) -> Timeline:
    """Return the probability over time that the best moment of a video holds the time, from all candidates (M).

    The points are the middles of the clips, or `MAX_TIMELINE_POINTS` even points if there are more clips.
    """
    num_points = min(num_clips, MAX_TIMELINE_POINTS)
    times_s = (np.arange(num_points) + 0.5) * duration_s / num_points  # (S,)
    cells = np.floor(candidates.spans * num_points / duration_s + 0.5).astype(np.int64)  # (M, 2)
    return Timeline(times_s, add_over(cells, compute_shares(candidates.scores), num_points=num_points), shown)


def compute_shares(logits: Floats) -> Floats:
    """Return the softmax of all candidates' logits: the probability that each is the best, (M,) -> (M,)."""
    weights = np.exp(logits - logits.max(initial=-np.inf))
    shares: Floats = weights / weights.sum()
    return shares


def add_over(cells: Ints, shares: Floats, *, num_points: int) -> Floats:
    """Return for each point the sum of the shares (M,) of the ranges [first, end) (M, 2) that hold it, (S,).

    A range between two points holds the nearest one.
    """
    first = cells[:, 0].clip(0, num_points - 1)
    end = cells[:, 1].clip(first + 1, num_points)
    steps = np.zeros(num_points + 1)
    np.add.at(steps, first, shares)
    np.subtract.at(steps, end, shares)
    return np.cumsum(steps[:-1]).clip(0, 1)


def _meets(moment: FoundMoment, query: SearchQuery) -> bool:
    if query.min_score is not None and moment.score < query.min_score:
        return False
    return not query.min_confidence or (moment.confidence is not None and moment.confidence >= query.min_confidence)
