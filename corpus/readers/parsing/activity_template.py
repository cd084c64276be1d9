"""Template that turns the name of an activity and the types of its actors into a sentence."""

import re
from collections import Counter
from collections.abc import Sequence

_SMALL = r"[^\x00-`{-\x7f\s]"  # small ASCII letters, and letters of other scripts
_WORD = re.compile(rf"[A-Z]?{_SMALL}+|[A-Z]+(?!{_SMALL})|[0-9]+")
_FILLERS = ("activity", "specialized", "specialised")  # VIRAT's prefixes, which carry no meaning
_ACTORS = ("person", "vehicle", "hand")  # actors at the start of a name
_THINGS = (*_ACTORS, "bag", "bicycle", "document", "door", "facility", "heavy", "laptop", "object", "package", "phone")
_NOUNS = frozenset((*_THINGS, "scene", "structure", "trunk", "u", "umbrella", "tool"))
_NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_PLURALS = {"person": "people", "bus": "buses"}


def write_sentence(activity: str, actor_types: Sequence[str]) -> str:
    """Return the sentence of an activity: "person_opens_facility_door" becomes "a person opens a facility door".

    If the name does not begin with an actor, the types of the actors give the subject, people before things: "Talking" of
    two people becomes "two people are talking". A name that is not a verb form follows a colon. Empty for a name without
    words.
    """
    words = [word.lower() for word in _WORD.findall(activity)]
    while len(words) > 1 and words[0] in _FILLERS:
        words = words[1:]
    num_named = next((position for position, word in enumerate(words) if word not in _ACTORS), len(words))
    named, rest = words[:num_named], words[num_named:]
    subject = named or _find_subject(actor_types)
    phrase = " ".join(_add_articles(rest))
    if not words or not phrase:
        return describe_actors(subject) if words else ""
    if rest[0].endswith("ing"):
        return f"{describe_actors(subject)} {'are' if len(subject) > 1 else 'is'} {phrase}"
    return f"{describe_actors(subject)}{'' if named else ':'} {phrase}"


def describe_actors(types: Sequence[str]) -> str:
    """Describe actors with their number: ["person", "person", "bag"] is "two people and a bag"; no actor is "something"."""
    counts = Counter(word.lower().replace("_", " ") for word in types)
    parts = [_count("object" if word == "other" else word, number) for word, number in counts.items()]
    return " and ".join(parts) or "something"


def _find_subject(actor_types: Sequence[str]) -> list[str]:
    people = [word for word in actor_types if word.lower() == "person"]
    return people or list(actor_types)


def _count(word: str, number: int) -> str:
    if number == 1:
        return f"{_article(word)} {word}"
    name = _NUMBERS[number] if number < len(_NUMBERS) else str(number)
    return f"{name} {_PLURALS.get(word, f'{word}s')}"


def _add_articles(words: Sequence[str]) -> list[str]:
    added: list[str] = []
    for position, word in enumerate(words):
        if word in _NOUNS and (position == 0 or words[position - 1] not in _NOUNS):
            added.append(_article(word))
        added.append(word)
    return added


def _article(word: str) -> str:
    if word == "scene":
        return "the"
    return "an" if word[0] in "aeio" or word == "umbrella" else "a"
