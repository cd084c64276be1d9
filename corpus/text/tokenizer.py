"""Interface of tokenizers, which turn sentences into token ids."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

PADDING = 0  # in the ids of every tokenizer; no token has it, so the mask of a batch is `ids != PADDING`


class Tokenizer(ABC):
    """Converter from sentences to ids, the same in training and serving. Tokens count from 1; 0 is padding."""

    file_name: ClassVar[str]  # in folders of encoders and bundles

    @abstractmethod
    def __len__(self) -> int:
        """The number of token ids, padding included."""

    @abstractmethod
    def encode(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """Return token ids (B, L), padded with 0 to the longest sentence.

        Raises:
            ValueError: when a sentence has no words.
        """

    @abstractmethod
    def find_unknown(self, text: str) -> list[str]:
        """Return the words of a sentence without a token."""

    @property
    def packages(self) -> tuple[str, ...]:
        """The packages that it needs beside those of serving."""
        return ()

    @property
    @abstractmethod
    def digest(self) -> str:
        """The hash of everything that decides the ids."""

    @abstractmethod
    def save(self, path: Path) -> None:
        """Write the tokenizer as JSON, with equal bytes for equal tokenizers."""


def pad_ids(rows: Sequence[Sequence[int]]) -> NDArray[np.int64]:
    """Return ids (B, L), padded with 0 to the longest row; without rows (0, 1)."""
    ids = np.full((len(rows), max(map(len, rows), default=1)), PADDING, dtype=np.int64)
    for number, row in enumerate(rows):
        ids[number, : len(row)] = row
    return ids
