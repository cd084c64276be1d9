"""Published word vectors. Letters: B sentences, L words, W width of the vectors."""

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, NonNegativeInt, PositiveInt
from torch import Tensor, nn
from tqdm import tqdm

from corpus.files import sha256_file
from corpus.text import PADDING, Vocabulary, fold
from models.contracts.roles import TextStart
from models.encoders.text.base.frozen import FrozenTextEncoder, FrozenTextEncoderParams
from models.encoders.text.base.words import Pooling, pool_words

_WHERE = "get glove.6B.zip from https://nlp.stanford.edu/projects/glove and unpack"


class GloVe(FrozenTextEncoder):
    """Frozen table of published word vectors; a sentence is their sum or mean.

    Source: Pennington et al. 2014; frozen and lower-case as the text input of 2D-TAN (arXiv:1912.03590). Deviation: 2D-TAN's
    code splits only at spaces, so a word followed by a comma or full stop is unknown; here punctuation is dropped. As in
    2D-TAN, a word without a vector is zero.
    """

    def __init__(self, vocabulary_size: int, params: "GloVeParams") -> None:
        """Build an empty table."""
        table = nn.Embedding(vocabulary_size, params.vector_dim, padding_idx=PADDING)
        nn.init.zeros_(table.weight)
        super().__init__(table, params.vector_dim, params)
        self.pooling = params.pooling

    def encode_frozen(self, token_ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Return the vectors of the words, and their sum or mean."""
        words = self.frozen(token_ids)  # (B, L, W), zero at padding
        return words, pool_words(words, mask, self.pooling)


class GloVeParams(FrozenTextEncoderParams):
    """Values of `GloVe`."""

    name: Literal["glove"]
    path: str = Field(min_length=1)  # of the text file: one word and its numbers per line
    sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")  # of the file; null: not checked
    vector_dim: PositiveInt = 300
    most_frequent: NonNegativeInt = 0  # number of first lines whose words are kept in addition to the training sentences
    pooling: Pooling = "sum"

    def build(self, vocabulary_size: int) -> GloVe:
        """Return an encoder whose table is not loaded yet."""
        return GloVe(vocabulary_size, self)

    def start(self, texts: Sequence[str]) -> TextStart:
        """Read the vectors of the words in the training sentences, and of the most frequent ones.

        Raises:
            FileNotFoundError: when the file is missing, with its download page.
            ValueError: naming file and line, when the file does not hold word vectors, or no word has a vector.
        """
        path = Path(self.path)
        if not path.is_file():
            raise FileNotFoundError(
                f"{path} does not exist: the vectors of glove are not part of this project; {_WHERE} it there"
            )
        if self.sha256 and sha256_file(path) != self.sha256:
            raise ValueError(
                f"{path} has the sha256 {sha256_file(path)}, but the preset names {self.sha256}; "
                "use the file that the preset was made for"
            )
        words = Vocabulary.from_texts(texts).words
        vectors = read_vectors(path, vector_dim=self.vector_dim, words=words, most_frequent=self.most_frequent)
        if not vectors:
            raise ValueError(f"{path} has a vector for none of the {len(words)} words of the training sentences")
        known = [word for word in words if word in vectors]
        vocabulary = Vocabulary((*known, *(word for word in vectors if word not in set(known))))
        encoder = self.build(len(vocabulary))
        nothing = np.zeros((2, self.vector_dim), dtype=np.float32)  # padding and unknown
        table = np.concatenate([nothing, [vectors[word] for word in vocabulary.words]])
        encoder.frozen.load_state_dict({"weight": torch.from_numpy(table)})
        return TextStart(self, vocabulary, encoder)


def read_vectors(
    path: Path, *, vector_dim: int, words: Collection[str], most_frequent: int = 0
) -> dict[str, NDArray[np.float32]]:
    """Return the vectors of some words and of the first `most_frequent` lines, in file order.

    The first of two lines with the same word counts. Words may contain spaces, as some published ones do. Words with non-ASCII
    characters are folded like those of sentences; ASCII words match exactly, including case.

    Raises:
        ValueError: naming file and line, unless each line is a word and `vector_dim` finite numbers.
    """
    wanted, vectors = frozenset(words), dict[str, NDArray[np.float32]]()
    for number, line in _iterate_lines(path):
        word, *numbers = line.rsplit(b" ", vector_dim)
        if len(numbers) != vector_dim or not word:
            raise ValueError(
                f"{path} line {number} must be a word and {vector_dim} numbers, got {line[:60]!r} with {len(numbers)}; "
                "set vector_dim to the width of the file, or get the file again"
            )
        name = _decode(word, path, number)
        if (name in wanted or number <= most_frequent) and name not in vectors:
            vectors[name] = _parse_numbers(numbers, path, number)
    return vectors


def _iterate_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    with path.open("rb") as file, tqdm(total=path.stat().st_size, desc=path.name, unit="B", unit_scale=True, disable=None) as bar:
        for number, line in enumerate(file, start=1):
            yield number, line.rstrip(b" \r\n")
            bar.update(len(line))


def _decode(word: bytes, path: Path, number: int) -> str:
    try:
        name = word.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} line {number}: the word {word[:30]!r} is not UTF-8; get the file again") from error
    return name if name.isascii() else fold(name)


def _parse_numbers(numbers: Sequence[bytes], path: Path, number: int) -> NDArray[np.float32]:
    try:
        with np.errstate(over="ignore"):  # a value too large for float32 becomes infinite
            vector = np.array([float(text) for text in numbers]).astype(np.float32)
    except ValueError as error:
        raise ValueError(f"{path} line {number}: {error}; get the file again") from error
    if not np.isfinite(vector).all():
        raise ValueError(f"{path} line {number} holds a number that is not finite; get the file again")
    return vector
