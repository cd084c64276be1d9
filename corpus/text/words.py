"""The words of a sentence: what makes it a sentence at all, and what a `Vocabulary` counts."""

import re
from collections.abc import Mapping

_WORD = re.compile(r"\w+(?:'\w+)?")


def tokenize(text: str) -> list[str]:
    """Split a sentence into lower-case words; punctuation is dropped, an apostrophe inside a word stays.

    Raises:
        ValueError: when the sentence has no words.
    """
    words = _WORD.findall(text.lower())
    if not words:
        raise ValueError(f"the sentence {text!r} has no words; write what happens in the video")
    return words


def replace_words(text: str, replacements: Mapping[str, str]) -> str:
    """Put other words in the place of some; `replacements` maps lower-case words, and the rest of the sentence stays."""
    return _WORD.sub(lambda match: replacements.get(match[0].lower(), match[0]), text)
