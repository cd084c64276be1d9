"""Sentences to token ids, the same in training and serving."""

from collections.abc import Collection
from pathlib import Path

from corpus.text.pretrained import PretrainedTokenizer
from corpus.text.tokenizer import PADDING, Tokenizer
from corpus.text.vocabulary import UNKNOWN, Vocabulary
from corpus.text.words import replace_words, tokenize

__all__ = [
    "PADDING",
    "UNKNOWN",
    "PretrainedTokenizer",
    "Tokenizer",
    "Vocabulary",
    "load_tokenizer",
    "replace_words",
    "tokenize",
]


def load_tokenizer(folder: Path, names: Collection[str]) -> Tokenizer:
    """Read the tokenizer of a folder whose (verified) files have these names.

    Raises:
        ValueError: when there is none among them, or more than one.
    """
    kinds = [kind for kind in (Vocabulary, PretrainedTokenizer) if kind.file_name in names]
    if len(kinds) != 1:
        known = " or ".join(kind.file_name for kind in (Vocabulary, PretrainedTokenizer))
        raise ValueError(f"{folder} must list one tokenizer, {known}, among its files; it lists {', '.join(sorted(names))}")
    return kinds[0].load(folder / kinds[0].file_name)
