"""Rows of the traffic log: one answered sentence each, as JSON."""

import hashlib
import hmac
from typing import Literal, NamedTuple

from corpus.params import Params
from corpus.text.words import tokenize
from search.answers import Verdict
from serving.api.schemas import Moment, SearchAnswer, Versions
from serving.startup.settings import TextRule

Endpoint = Literal["search", "batch", "localize", "upload"]


class BestMoment(Params):
    """The first moment of an answer, or its best guess; `video_id` is empty for a video that was not kept."""

    video_id: str
    start_s: float
    end_s: float
    score: float
    confidence: float | None


class TrafficRow(Params):
    """One sentence with its answer.

    `query` and `unknown_words` are there if the text is kept, `query_hash` if it is hashed. Counts are always there.
    """

    row_version: Literal[1] = 1  # readers refuse other versions
    time_s: float  # seconds since 1970 when the answer was given
    answer_id: str  # the key to the feedback on it
    endpoint: Endpoint
    query: str | None = None
    query_hash: str | None = None  # HMAC-SHA256 with the key of the log: equal sentences have equal hashes
    num_characters: int
    num_words: int
    num_unknown: int  # words that the models never saw
    unknown_words: tuple[str, ...] | None = None
    is_limited: bool  # whether the client limited videos, scores or confidence
    verdict: Verdict
    num_moments: int
    best: BestMoment | None
    model: str
    index: str
    variant: str
    took_ms: float


class Answered(NamedTuple):
    """An answer that was given, with what the row needs besides."""

    shown: SearchAnswer
    endpoint: Endpoint
    is_limited: bool
    versions: Versions
    took_ms: float
    time_s: float


def build_row(answered: Answered, *, text: TextRule, key: bytes) -> TrafficRow:
    """Return the row of an answer. `key` is only read if the text is hashed."""
    shown, versions = answered.shown, answered.versions
    is_kept = text == "kept"
    return TrafficRow(
        time_s=answered.time_s,
        answer_id=shown.answer_id,
        endpoint=answered.endpoint,
        query=shown.query if is_kept else None,
        query_hash=hash_text(shown.query, key) if text == "hashed" else None,
        num_characters=len(shown.query),
        num_words=len(tokenize(shown.query)),
        num_unknown=len(shown.unknown_words),
        unknown_words=tuple(shown.unknown_words) if is_kept else None,
        is_limited=answered.is_limited,
        verdict=shown.verdict,
        num_moments=len(shown.moments),
        best=_describe(shown.moments[0] if shown.moments else shown.best_guess),
        model=versions.model,
        index=versions.index,
        variant=versions.variant,
        took_ms=answered.took_ms,
    )


def hash_text(text: str, key: bytes) -> str:
    """Return the keyed hash of a sentence. Without the key, guessing the sentence does not confirm it."""
    return hmac.new(key, text.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()


def _describe(moment: Moment | None) -> BestMoment | None:
    if moment is None:
        return None
    return BestMoment(**{name: getattr(moment, name) for name in BestMoment.model_fields})
