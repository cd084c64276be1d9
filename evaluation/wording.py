"""Verb and combination of a sentence, for slices.

Tags of the corpus take precedence. Without a tag, `corpus.text.verbs` finds the main verb. A sentence without a verb is in
no slice.
"""

from collections.abc import Iterable, Sequence

from corpus.records import Query
from corpus.text.verbs import find_verb as find_main_verb
from corpus.text.verbs import locate_verb

VERB_TAGS = frozenset({"kind", "verb"})  # tags of a corpus that hold the verb; drawn events have a kind

_STOP_WORDS = """a about across after again against all also an and another are as at away back be been before behind being
between both but by can do does down each first for from front has have having he her him himself his i in inside into is it its
just more next now of off on one onto or other others out over person several she some someone something that the their them
then there they this through to together towards two under up very was we were when where which while who with you"""


def find_verb(query: Query) -> str:
    """Return the verb of a query, empty if unknown: the tag `verb` or `kind`, else the base form of its main verb."""
    tagged = next((query.tags[tag] for tag in sorted(VERB_TAGS) if tag in query.tags), "")
    if tagged:
        return tagged
    return find_main_verb(query.text)


def find_combination(query: Query) -> tuple[str, ...]:
    """Return the combination of a query, empty if unknown.

    For a drawn query it is colour, shape and verb; else the verb with the nearest content words before and after it.
    """
    if query.source == "drawn":
        parts = (query.tags.get("color", ""), query.tags.get("shape", ""), find_verb(query))
        return parts if all(parts) else ()
    found = locate_verb(query.text)
    if found is None:
        return ()
    return (_find_content(found.before[::-1]), found.base, _find_content(found.after))


def collect_combinations(queries: Iterable[Query]) -> frozenset[tuple[str, ...]]:
    """Return every combination of the given queries."""
    return frozenset(combination for query in queries if (combination := find_combination(query)))


def _find_content(words: Sequence[str]) -> str:
    return next((word for word in words if word not in _STOP_WORDS.split()), "")
