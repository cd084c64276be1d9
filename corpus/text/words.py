"""Words of a sentence, the same in training and serving. Vocabularies, searches, slices and the data gate use them."""

import re
from collections.abc import Mapping

from corpus.text.folding import compose, fold
from corpus.text.scripts import compile_word

WORD_RULES = 2  # version of the segmentation rules; artefacts of another version must be rebuilt
_ASCII_WORD = re.compile(r"\w+(?:'\w+)?")


def tokenize(text: str) -> list[str]:
    """Split a sentence into folded words; drop punctuation except apostrophes inside words.

    Raises:
        ValueError: when the sentence has no words.
    """
    words = _find_pattern(text).findall(fold(text))
    if not words:
        raise ValueError(f"the sentence {text!r} has no words; write what happens in the video")
    return words


def replace_words(text: str, replacements: Mapping[str, str]) -> str:
    """Replace words of a sentence; `replacements` maps folded words, and the rest of the sentence stays."""
    composed = compose(text)
    return _find_pattern(composed).sub(lambda match: replacements.get(fold(match[0]), match[0]), composed)


def _find_pattern(text: str) -> re.Pattern[str]:
    return _ASCII_WORD if text.isascii() else compile_word()
