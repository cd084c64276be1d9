"""Trust in an answer by class names, by the similarity of the nearest name to the sentence.

Measured on 124 sentences about 67 videos (tests/benchmarks/real_bench.md). The figures are shares of sentences, not the
probability of a single answer.
"""

from collections.abc import Sequence

from corpus.moments import RankedMoment
from search.answers import Answer, SearchBasis, SearchQuery, Verdict, give_confidence, limit_moments

_WEAK, _STRONG = 0.4, 0.6


def judge_by_names(
    ranked: Sequence[RankedMoment], query: SearchQuery, basis: SearchBasis, *, unknown_words: Sequence[str]
) -> Answer:
    """Return the answer to a query from its ranked moments, best first, and the class names that it rests on.

    The verdict is "found" if a moment meets the query's limits and the nearest name is at least `_WEAK` similar to the
    sentence. Otherwise it is "unsure", with the same moments: class names cannot tell that something is missing. A query's
    `min_confidence` of 0 finds every moment. An empty `ranked` means that the search had no video.
    """
    if not ranked:
        return Answer(Verdict.NOT_FOUND, (), None, tuple(unknown_words), basis=basis)
    moments = give_confidence(ranked, None)
    kept = limit_moments(moments, query)
    if kept and (basis.grounding >= _WEAK or query.min_confidence == 0):
        return Answer(Verdict.FOUND, kept, None, tuple(unknown_words), basis=basis)
    guess = None if kept else moments[0]
    return Answer(Verdict.UNSURE, kept, guess, tuple(unknown_words), describe_trust(basis.grounding), basis=basis)


def describe_trust(grounding: float) -> str:
    """Return a sentence about an answer with this grounding, in [0, 1]."""
    near = f"The nearest class name is {grounding:.2f} similar to the sentence"
    if grounding < _WEAK:
        return f"{near}: take the answer as a guess."
    if grounding < _STRONG:
        return f"{near}: if such a video is here, it is often among the first five."
    return f"{near}: if such a video is here, it is mostly the first."
