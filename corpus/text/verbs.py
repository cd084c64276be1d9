"""Detection of the main verb of an English sentence by a list of inflected forms and a few rules; no parser, no download."""

import re
from collections.abc import Iterator, Sequence
from functools import cache
from typing import NamedTuple

from lemminflect import getAllLemmas

from corpus.text.words import tokenize

NO_VERB = ""


class VerbInPlace(NamedTuple):
    """The main verb of a sentence in its base form, and the words of its clause around it."""

    base: str
    before: list[str]
    after: list[str]


def _list_words(line: str) -> frozenset[str]:
    return frozenset(line.split())


_SUBORDINATE = re.compile(r"^\W*(?:after|as|before|once|until|when|while)\b[^,]*,(?=.*\w)", re.IGNORECASE)
_PLURAL = _list_words("two three four five six seven eight nine ten many several both all these those some few")
_DETERMINERS = _list_words("a an the this that my your his her its our their any each every another other no one") | _PLURAL
_PREPOSITIONS = _list_words(
    "of in on at with from by for into onto over under near behind between through against towards toward inside outside "
    "around along across during without"
)
_OPENERS = _DETERMINERS | _PREPOSITIONS  # a main verb does not follow one of these directly
_PRONOUNS = _list_words("he she it they we you i who which someone somebody something everyone everybody people person")
_MODALS = _list_words("can could will would shall should may might must")
# Verbs that introduce another verb: "is seen playing", "starts to run".
_LIGHT = _list_words("be have do begin start continue keep see show try") | _MODALS
_PASSED = _list_words("to not then still also just again back")
# Spellings that could be verbs but hardly ever are in sentences about videos.
_NEVER = _list_words("up down out back right left like still then while together plus white black yellow brown green blue")


def find_verb(sentence: str) -> str:
    """Return the base form of the main verb, such as "open" of "a person opens the door"; "" if none is found.

    A leading clause of time up to a comma is skipped ("after the star leaves, a box spins" -> spin). The main verb is the
    first word that can only be a verb or that follows its subject; else the first inflected form of a verb; else the first
    possible verb before a noun phrase; else the first possible verb. Auxiliaries and verbs like begin or see yield to the
    verb they introduce ("is starting to wash" -> wash). Particles are not part of a verb: "comes in" -> come. The rules can
    miss spellings that are both noun and verb; classes of sentences tolerate that.
    """
    found = locate_verb(sentence)
    return NO_VERB if found is None else found.base


def locate_verb(sentence: str) -> VerbInPlace | None:
    """Return the main verb of `find_verb` with its neighbours, `None` without any."""
    words = tokenize(_SUBORDINATE.sub("", sentence))
    first = next(_list_choices(words), None)
    if first is None:
        return None
    place = _follow(words, first)
    return VerbInPlace(_read_verb(words[place]), words[:place], words[place + 1 :])


def _list_choices(words: Sequence[str]) -> Iterator[int]:
    """Yield the positions of possible main verbs, the most certain kind first."""
    verbs = [index for index, word in enumerate(words) if _read_verb(word) and word not in _NEVER]
    free = [index for index in verbs if not (index and words[index - 1] in _OPENERS) and not _is_plural_noun(words, index)]
    yield from (index for index in free if _is_surely_verb(words, index))
    yield from (index for index in free if index and _read_verb(words[index]) != words[index])
    yield from (index for index in free if words[index + 1 : index + 2] and words[index + 1] in _DETERMINERS)
    yield from free
    yield from verbs


def _is_plural_noun(words: Sequence[str], index: int) -> bool:
    """Tell whether a word in -s is part of a phrase like "two red shapes"."""
    opener = next((word for word in reversed(words[:index]) if word in _OPENERS), "")
    return words[index].endswith("s") and "NOUN" in _read(words[index]) and opener in _PLURAL


def _is_surely_verb(words: Sequence[str], index: int) -> bool:
    word, before = words[index], words[index - 1] if index else ""
    if word in _MODALS or not {"NOUN", "ADJ"} & set(_read(word)) or (index == 0 and word.endswith("ing")):
        return True
    subject = before in _PRONOUNS or ("NOUN" in _read(before) and "ADJ" not in _read(before))
    plural = before.endswith("s") or before in _PRONOUNS
    return subject and (_read_verb(word) != word or plural)


def _follow(words: Sequence[str], index: int) -> int:
    """Return the index of the verb, or of the verb that it introduces."""
    verb = _read_verb(words[index])
    if verb not in _LIGHT:
        return index
    for place in range(index + 1, len(words)):
        word = words[place]
        if _can_be_introduced(word, verb=verb, before=words[place - 1]):
            return _follow(words, place)
        if word not in _PASSED and "ADV" not in _read(word):
            break
    return index


def _can_be_introduced(word: str, *, verb: str, before: str) -> bool:
    """Tell whether a word is a participle, or a base form in its proper context: "is opening", "can open", "starts to open"."""
    base = _read_verb(word)
    if not base or word in _NEVER or before in _OPENERS or (word.endswith("s") and word != base):
        return False
    return word != base or verb in _MODALS or before == "to" or "NOUN" not in _read(word)


def _read_verb(word: str) -> str:
    """Return the base form of a word as a verb, "" if it is not a verb."""
    readings = _read(word)
    return next(iter(readings.get("VERB", ()) or readings.get("AUX", ())), "")


@cache
def _read(word: str) -> dict[str, tuple[str, ...]]:
    """Return the base forms of a word by part of speech."""
    readings: dict[str, tuple[str, ...]] = getAllLemmas(word)
    return readings
