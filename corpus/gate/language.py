"""Detection of the script and language of a sentence by characters and function words, without a network."""

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache

_JAPANESE_AND_CHINESE = {"CJK", "HIRAGANA", "KATAKANA"}  # one sentence mixes them
UNKNOWN = "unknown"
_REPLACEMENT = "\ufffd"
_NOT_ASCII = re.compile(r"[^\x00-\x7f]{2,}")
_MIN_FUNCTION_WORDS = 2
_FUNCTION_WORDS = {
    language: frozenset(words.split())
    for language, words in {
        "de": "der die das und ein eine einen einem einer auf mit dem ist nicht sie er zu im aus wird von dann",
        "en": "the a an is are and of to with from on in at into his her their he she they it then while for by that",
        "es": "el la los las un una y con en de del al se está por su sus mientras que",
        "fr": "le la les un une et dans est avec sur des du de au il elle puis qui en sa son ses",
        "it": "il la lo gli le un una di che nel nella sul sulla della del con è si e poi mentre",
        "nl": "de het een en van met op in zijn haar naar is dan hij zij terwijl uit door",
        "pt": "o a os um uma e com em de da na está ele ela para seu sua enquanto",
    }.items()
}


def find_script(text: str) -> tuple[str, float]:
    """Return the most frequent script ("LATIN", "CYRILLIC", "CJK" ...) and its share in [0, 1]; unknown without letters."""
    if text.isascii():
        return ("LATIN" if any(letter.isalpha() for letter in text) else UNKNOWN), 1.0
    scripts = Counter(_name_script(letter) for letter in text if letter.isalpha())
    if not scripts:
        return UNKNOWN, 1.0
    script, count = min(scripts.items(), key=lambda item: (-item[1], item[0]))
    return script, count / scripts.total()


def count_broken_characters(text: str) -> int:
    """Count replacement and control characters, and characters of mis-decoded UTF-8 ("cafÃ©")."""
    if text.isascii() and text.isprintable():
        return 0
    lost = sum(letter == _REPLACEMENT or unicodedata.category(letter) in ("Cc", "Co") for letter in text if not letter.isspace())
    return lost + sum(len(run) for run in _NOT_ASCII.findall(text) if _is_misread(run))


def guess_language(words: Sequence[str]) -> str:
    """Return the language with the most function words in a sentence, such as "en"; unknown if the result is not clear."""
    found = set(words)
    counts = sorted(((len(found & known), language) for language, known in _FUNCTION_WORDS.items()), reverse=True)
    (most, language), (second, _) = counts[:2]
    return language if most >= _MIN_FUNCTION_WORDS and most > second else UNKNOWN


@lru_cache(maxsize=65_536)
def _name_script(letter: str) -> str:
    script = unicodedata.name(letter, UNKNOWN).partition(" ")[0]
    return "CJK" if script in _JAPANESE_AND_CHINESE else script


def _is_misread(run: str) -> bool:
    for encoding in ("cp1252", "latin-1"):
        try:
            run.encode(encoding).decode("utf-8")
        except UnicodeError:
            continue
        return True
    return False
