"""Tokenization of sentences, the same in training and serving."""

from collections.abc import Collection
from pathlib import Path

from corpus.text.cleaning import Cleaning
from corpus.text.folding import fold
from corpus.text.pretrained import PretrainedTokenizer
from corpus.text.tokenizer import PADDING, Tokenizer
from corpus.text.vocabulary import UNKNOWN, Vocabulary
from corpus.text.words import WORD_RULES, replace_words, tokenize

__all__ = [
    "PADDING",
    "UNKNOWN",
    "Cleaning",
    "WORD_RULES",
    "PretrainedTokenizer",
    "Tokenizer",
    "Vocabulary",
    "fold",
    "load_tokenizer",
    "replace_words",
    "tokenize",
]


def load_tokenizer(folder: Path, names: Collection[str]) -> Tokenizer:
    """Read the tokenizer of a folder; `names` are its verified files.

    Raises:
        ValueError: when they contain no tokenizer, or more than one.
    """
    kinds = [kind for kind in (Vocabulary, PretrainedTokenizer) if kind.file_name in names]
    if len(kinds) != 1:
        known = " or ".join(kind.file_name for kind in (Vocabulary, PretrainedTokenizer))
        raise ValueError(f"{folder} must list one tokenizer, {known}, among its files; it lists {', '.join(sorted(names))}")
    return kinds[0].load(folder / kinds[0].file_name)
