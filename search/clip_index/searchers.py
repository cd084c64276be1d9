"""Nearest-neighbour search with faiss over unit vectors: exact, or approximate in lists of quantised vectors.

Letters: R rows, E embedding width, K hits.
"""

import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import faiss
import numpy as np
from numpy.typing import NDArray

from corpus.moments import Ints

Vectors = NDArray[np.float32]
Chosen = NDArray[np.bool_]

# Up to this size a search reads every row: 50 MB at E = 64 in some milliseconds, the cost of everything else around the
# localizer (tests/benchmarks/clip_index.md). In a larger collection, the scan would dominate the search.
FLAT_ROWS = 200_000
_PROBED_LISTS = 64  # at least; tests/benchmarks/clip_index.md has the recall
_OVERFETCH = 2  # hits on quantised vectors that are fetched per exact hit
_ROWS_PER_LIST = 100  # in the sample from which the centres are learned
_ROWS_PER_BLOCK = 1 << 16
_SEED = 2026

tools: Any = faiss  # its stubs declare only the C++ arguments


class NearestRows(NamedTuple):
    """Rows and their scores, best first."""

    rows: Ints  # (K,)
    scores: Vectors  # (K,)


class RowSearcher(Protocol):
    """Finds the rows nearest to a query (E,), among all or those that `chosen` (R,) marks."""

    def search(self, query: Vectors, num_hits: int, chosen: Chosen | None) -> NearestRows:
        """Return up to `num_hits` rows, or all rows if there are fewer."""


class FlatSearcher:
    """Reads every row; equal inputs give equal answers."""

    def __init__(self, vectors: Vectors) -> None:
        """Copy the vectors (R, E)."""
        self._index = faiss.IndexFlatIP(vectors.shape[1])
        for block in _iter_blocks(vectors):
            self._index.add(block)

    def search(self, query: Vectors, num_hits: int, chosen: Chosen | None) -> NearestRows:
        """Return the nearest rows."""
        count = self._index.ntotal if chosen is None else int(chosen.sum())
        if count == 0:
            return NearestRows(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.float32))
        parameters = {} if chosen is None else {"params": tools.SearchParameters(sel=_select(chosen))}
        _stay_in_thread()
        scores, rows = self._index.search(_as_matrix(query), min(num_hits, count), **parameters)
        return NearestRows(rows[0], scores[0])


class IvfSearcher:
    """Searches 8-bit codes in the lists with the nearest centres, then re-ranks the best rows by their exact vectors.

    Source: inverted lists of Jegou et al. 2011 (Product quantization for nearest neighbor search, section IV).
    Deviation: one byte per number instead of a product code. The codes fit into memory up to some 100 M clips, and lose
    almost no hit before re-ranking.
    """

    def __init__(self, vectors: Vectors, index: Any) -> None:
        """Search a faiss index over the rows of `vectors` (R, E), which may be a mapped file."""
        self._vectors, self._index = vectors, index

    @classmethod
    def build(cls, vectors: Vectors) -> "IvfSearcher":
        """Learn the lists from a sample, and assign every row to one; equal rows give equal bytes."""
        num_lists = choose_num_lists(len(vectors))
        index = tools.index_factory(vectors.shape[1], f"IVF{num_lists},SQ8", faiss.METRIC_INNER_PRODUCT)
        index.cp.seed = _SEED
        tools.omp_set_num_threads(len(os.sched_getaffinity(0)))
        sample = np.random.default_rng(_SEED).choice(len(vectors), min(len(vectors), _ROWS_PER_LIST * num_lists), replace=False)
        index.train(np.ascontiguousarray(vectors[np.sort(sample)]))
        for block in _iter_blocks(vectors):
            index.add(block)
        return cls(vectors, index)

    @classmethod
    def load(cls, vectors: Vectors, path: Path) -> "IvfSearcher":
        """Read saved lists; the caller has verified the file."""
        return cls(vectors, tools.read_index(str(path)))

    def save(self, path: Path) -> None:
        """Write the lists in faiss's own format."""
        tools.write_index(self._index, str(path))

    def search(self, query: Vectors, num_hits: int, chosen: Chosen | None) -> NearestRows:
        """Return the nearest rows of the nearest lists; up to `FLAT_ROWS` chosen rows are searched exactly."""
        count = len(self._vectors) if chosen is None else int(chosen.sum())
        if chosen is not None and count <= FLAT_ROWS:
            return self._rank(query, np.flatnonzero(chosen), num_hits)
        parameters = {"nprobe": self._choose_num_probes(num_hits)} | ({} if chosen is None else {"sel": _select(chosen)})
        wanted = min(_OVERFETCH * num_hits, count)
        _stay_in_thread()
        _, rows = self._index.search(_as_matrix(query), wanted, params=tools.SearchParametersIVF(**parameters))
        return self._rank(query, rows[0][rows[0] >= 0], num_hits)

    def _choose_num_probes(self, num_hits: int) -> int:
        """Return how many lists to read: more for more hits, and all of them for all rows."""
        share = _OVERFETCH * num_hits / len(self._vectors)
        num_lists: int = self._index.nlist
        return min(num_lists, _PROBED_LISTS + math.ceil(share * num_lists))

    def _rank(self, query: Vectors, rows: Ints, num_hits: int) -> NearestRows:
        scores = self._vectors[rows] @ query.astype(np.float32)
        order = np.argsort(-scores, kind="stable")[:num_hits]
        return NearestRows(rows[order], scores[order])


def choose_num_lists(num_rows: int) -> int:
    """Return a power of two near the square root, which balances the cost of reading centres and lists."""
    return 1 << round(math.log2(math.sqrt(num_rows)))


def _stay_in_thread() -> None:
    """Make faiss search in the calling thread: waking others costs many times the scan, above all on a busy machine."""
    tools.omp_set_num_threads(1)


def _select(chosen: Chosen) -> Any:
    return tools.IDSelectorBitmap(np.packbits(chosen, bitorder="little"))


def _as_matrix(query: Vectors) -> Vectors:
    return np.ascontiguousarray(query[None], dtype=np.float32)


def _iter_blocks(vectors: Vectors) -> Iterator[Vectors]:
    for start in range(0, len(vectors), _ROWS_PER_BLOCK):
        yield np.ascontiguousarray(vectors[start : start + _ROWS_PER_BLOCK])
