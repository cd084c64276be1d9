"""Vocabulary tokenizer: words of the training sentences as token ids."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from corpus.files import read_json, sha256_json, write_json
from corpus.text.tokenizer import Tokenizer, pad_ids
from corpus.text.words import WORD_RULES, tokenize

UNKNOWN = 1


@dataclass(frozen=True)
class Vocabulary(Tokenizer):
    """The known words of a text encoder; ids 0 and 1 are padding and unknown."""

    file_name: ClassVar[str] = "vocabulary.json"
    words: tuple[str, ...]

    def __len__(self) -> int:
        """The number of token ids, padding and unknown included."""
        return len(self.words) + 2

    @classmethod
    def from_texts(cls, texts: Iterable[str], *, min_count: int = 1) -> "Vocabulary":
        """Collect the words with at least `min_count` occurrences, most frequent first, ties in alphabetical order."""
        counts = Counter(word for text in texts for word in tokenize(text))
        kept = [word for word, count in counts.items() if count >= min_count]
        return cls(tuple(sorted(kept, key=lambda word: (-counts[word], word))))

    def encode(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """Return token ids (B, L), padded with 0 to the longest sentence."""
        return pad_ids([[self._ids.get(word, UNKNOWN) for word in tokenize(text)] for text in texts])

    def find_unknown(self, text: str) -> list[str]:
        """Return the words of a sentence outside this vocabulary."""
        return [word for word in tokenize(text) if word not in self._ids]

    @cached_property
    def _ids(self) -> dict[str, int]:
        return {word: index for index, word in enumerate(self.words, start=2)}

    @property
    def digest(self) -> str:
        """The hash of the words, their order, and the rules of word segmentation."""
        return sha256_json({"word_rules": WORD_RULES, "words": list(self.words)})

    def save(self, path: Path) -> None:
        """Write the words as JSON."""
        write_json(path, {"word_rules": WORD_RULES, "words": list(self.words)})

    @classmethod
    def load(cls, path: Path) -> "Vocabulary":
        """Read a file of `save`.

        Raises:
            ValueError: naming the file, when its words follow other segmentation rules.
        """
        content = read_json(path)
        if content.get("word_rules") != WORD_RULES:
            raise ValueError(
                f"{path} holds words by the rules {content.get('word_rules')!r}, this code splits sentences by the rules "
                f"{WORD_RULES}; run: dvc repro --force export"
            )
        return cls(tuple(content["words"]))
