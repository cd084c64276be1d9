"""Evidence of a decision: what each side answered and cost, on the same frozen queries.

Letters: Q queries.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from corpus.files import sha256_json
from corpus.moments import Ints
from corpus.records import Query
from evaluation.tables.slices import Slice
from models.metrics.convention import Figures


@dataclass(frozen=True)
class Side:
    """The figures of one bundle: 0 to 1 per query, NaN where its answer is not a finite number, and its cost."""

    name: str
    figures: Figures  # (Q,) each
    latency_ms: float | None  # median of a search, None if nothing was searched
    size_bytes: int | None
    searched: Figures = field(default_factory=dict)  # of the searched queries only, (S,) each


@dataclass(frozen=True)
class Frozen:
    """The queries that both sides answer."""

    qids: tuple[str, ...]
    videos: Ints  # (Q,) number of the video of each query
    slices: tuple[Slice, ...]
    searched: Ints  # (S,) rows that also search the collection
    digest: str  # sha256 of the queries with their truths

    def __len__(self) -> int:
        """The number of queries Q."""
        return len(self.qids)


@dataclass(frozen=True)
class Evidence:
    """Everything that a decision rests on."""

    queries: Frozen
    challenger: Side
    champion: Side | None  # None before the first promotion
    sealed: bool
    seal_note: str  # what the seal is, or why there is none


def digest_queries(queries: Sequence[Query], sha256_of_videos: Mapping[str, str]) -> str:
    """Return the sha256 of queries, their true moments and the bytes of their videos, whatever their order."""
    rows = sorted(sha256_json({**query.to_json(), "sha256": sha256_of_videos[query.video_id]}) for query in queries)
    return hashlib.sha256("".join(rows).encode()).hexdigest()
