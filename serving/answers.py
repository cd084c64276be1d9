"""What a search is asked and what it answers: queries, moments with score and confidence, the timeline of a video."""

import math
from typing import NamedTuple

from corpus.moments import Floats
from corpus.text import tokenize

MAX_TOP_K = 100
MAX_QUERY_CHARACTERS = 1000


class SearchQuery(NamedTuple):
    """A sentence with what its answer is limited to."""

    query: str
    top_k: int = 5
    video_ids: frozenset[str] | None = None  # search in these alone; None: in the whole collection
    min_score: float | None = None  # of every moment
    min_confidence: float | None = None  # of every moment, in place of the bundle's threshold; 0: every moment


class FoundMoment(NamedTuple):
    """A span of a video that may be what a sentence describes."""

    video_id: str
    start_s: float
    end_s: float
    score: float  # ranks; higher is better
    confidence: float | None  # in [0, 1], grows with the score; None where the bundle has no calibration


class Timeline(NamedTuple):
    """How well a sentence fits a video over time."""

    times_s: Floats  # (S,), evenly spaced
    scores: Floats  # (S,), how likely the best moment holds that time: the share of the candidates that do, in [0, 1]
    candidates: tuple[FoundMoment, ...]  # the best moments of the video after suppression, best first


class Answer(NamedTuple):
    """What was found for one sentence: moments, or none of them and the best guess."""

    found: bool
    moments: tuple[FoundMoment, ...]  # best first; empty where nothing was found
    best_guess: FoundMoment | None  # where nothing was found: the moment that came closest, if there is any
    unknown_words: tuple[str, ...]  # that the models never saw; they add nothing to the search
    timeline: Timeline | None = None  # of a search in one video


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
    """Refuse limits that no answer can meet or miss.

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
