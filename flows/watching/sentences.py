"""Sentences as samples: words, verbs and vectors by the models of a bundle, the same for training and for traffic."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from corpus.moments import Floats
from corpus.text import tokenize
from corpus.text.verbs import find_verb
from search.bundle import Bundle
from search.contracts import SearchBundle
from search.kinds import open_bundle
from search.networks import Networks

_PER_RUN = 64


class Sentences(NamedTuple):
    """Sentences with what the tests compare; N sentences, E embedding width."""

    texts: tuple[str, ...]
    num_words: Floats  # (N,)
    unknown_words: tuple[tuple[str, ...], ...]  # of each sentence
    verbs: tuple[str, ...]
    vectors: Floats | None  # (N, E); None if the models have no vectors of sentences


class SentenceReader:
    """Reads sentences by a bundle."""

    def __init__(self, bundle_dir: Path, *, num_threads: int = 1) -> None:
        """Open a bundle.

        Raises:
            FileNotFoundError: when there is none.
            ValueError: when it is damaged.
        """
        self.bundle: SearchBundle = open_bundle(bundle_dir)
        self._networks = Networks(self.bundle, num_threads=num_threads) if isinstance(self.bundle, Bundle) else None

    def read(self, texts: Sequence[str]) -> Sentences:
        """Return sentences with their words, verbs and vectors."""
        return Sentences(
            texts=tuple(texts),
            num_words=np.array([len(tokenize(text)) for text in texts], dtype=np.float64),
            unknown_words=tuple(map(self._find_unknown, texts)),
            verbs=tuple(map(find_verb, texts)),
            vectors=self._embed(texts),
        )

    def _find_unknown(self, text: str) -> tuple[str, ...]:
        return tuple(self.bundle.tokenizer.find_unknown(text)) if isinstance(self.bundle, Bundle) else ()

    def _embed(self, texts: Sequence[str]) -> Floats | None:
        if self._networks is None or not texts:
            return None
        return np.concatenate(list(self._embed_parts(self._networks, texts))).astype(np.float64)

    def _embed_parts(self, networks: Networks, texts: Sequence[str]) -> Iterator[Floats]:
        assert isinstance(self.bundle, Bundle)
        for start in range(0, len(texts), _PER_RUN):
            ids = self.bundle.tokenizer.encode(texts[start : start + _PER_RUN])
            yield networks.embed_queries(networks.encode_text(ids))
