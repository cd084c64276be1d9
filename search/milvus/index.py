"""The clip index over a Milvus collection. Letters: S clips of a video, E embedding width."""

import math
from collections.abc import Iterable, Mapping, Sequence

from tqdm import tqdm

from corpus.store import Fingerprint
from corpus.windows import Window
from search.clip_index import ClipHit, ClipIndex, ClipLayout, Hits, Vectors, require_unit_vectors
from search.milvus.address import MilvusAddress
from search.milvus.table import MAX_HITS, Identity, MilvusTable, TableHit, compute_key, store_video

_VIDEOS_PER_WRITE = 100


class MilvusClipIndex(ClipIndex):
    """A view of some videos of a Milvus collection, which one service writes.

    Milvus holds the vectors, the view the list of videos. This view does not see videos that a later view adds, and no
    longer finds videos that a later view removes.
    """

    def __init__(self, table: MilvusTable, layout: ClipLayout, *, fingerprint: Fingerprint, embedding_dim: int) -> None:
        """Show the videos of a layout, whose vectors the table holds; see `open`."""
        super().__init__(layout, fingerprint=fingerprint, embedding_dim=embedding_dim)
        self._table = table
        self._names = {compute_key(video_id): video_id for video_id in layout.num_clips}
        if len(self._names) != len(layout.num_clips):
            raise ValueError("two videos have the same key in Milvus, the first 63 bits of their ids' hashes; rename one of them")

    @classmethod
    def open(cls, place: MilvusAddress, source: ClipIndex, *, bundle_version: str) -> "MilvusClipIndex":
        """Copy the videos of an index that Milvus lacks, and return a view of all of them.

        Raises:
            ValueError: when the collection in Milvus was made by another bundle.
            ConnectionError: when Milvus does not answer.
        """
        identity = Identity(bundle_version, source.fingerprint.digest)
        table = MilvusTable.open(place, identity, embedding_dim=source.embedding_dim, num_clips=source.num_clips)
        stored = table.list_digests()
        video_ids = source.video_ids
        for start in tqdm(range(0, len(video_ids), _VIDEOS_PER_WRITE), desc="fill Milvus", disable=None, leave=False):
            _fill(table, stored, source, video_ids[start : start + _VIDEOS_PER_WRITE])
        return cls(table, source.layout, fingerprint=source.fingerprint, embedding_dim=source.embedding_dim)

    def add(self, video_id: str, clips: Vectors, *, clip_rate_hz: float, windows: Sequence[Window]) -> "MilvusClipIndex":
        """Write a video to Milvus and return a view that holds it; see `ClipIndex.add`.

        Raises:
            ConnectionError: when Milvus does not answer.
        """
        layout = self.layout.add(video_id, len(clips), clip_rate_hz=clip_rate_hz, windows=windows)
        require_unit_vectors(clips, width=self.embedding_dim, video_id=video_id)
        key, video = compute_key(video_id), store_video(clips)
        view = self._see(layout)
        if self._table.find_digest(key) != video.digest:
            self._table.delete([key])
            self._table.write({key: video})
        return view

    def remove(self, video_id: str) -> "MilvusClipIndex":
        """Delete a video from Milvus and return a view without it; see `ClipIndex.remove`.

        Raises:
            ConnectionError: when Milvus does not answer.
        """
        layout = self.layout.remove(video_id)
        self._table.delete([compute_key(video_id)])
        return self._see(layout)

    def discard_strays(self) -> None:
        """Delete the videos from Milvus that this view does not hold.

        Raises:
            ConnectionError: when Milvus does not answer.
        """
        self._table.delete([key for key in self._table.list_digests() if key not in self._names])

    def close(self) -> None:
        """Close the connection to Milvus."""
        self._table.close()

    def _see(self, layout: ClipLayout) -> "MilvusClipIndex":
        return MilvusClipIndex(self._table, layout, fingerprint=self.fingerprint, embedding_dim=self.embedding_dim)

    def _find_hits(self, query: Vectors, num_hits: int, chosen: Sequence[str] | None) -> Hits:
        only = None if chosen is None else [compute_key(name) for name in chosen]
        if only == []:
            return Hits([], is_all=True)
        asked = min(num_hits, MAX_HITS)
        found = self._table.search(query, asked, only=only)
        hits = [ClipHit(self._names[hit.key], hit.clip, hit.score) for hit in found if hit.key in self._names]
        if len(found) < asked:
            return Hits(hits, is_all=True)
        return self._find_more(query, num_hits, only, found) if num_hits > asked else Hits(hits, is_all=False)

    def _find_more(self, query: Vectors, num_hits: int, only: Sequence[int] | None, page: list[TableHit]) -> Hits:
        """Return more hits than one search may: score all clips of the videos found so far, then search the others.

        No clip of the others is better than the last of a full page, so all better clips are known.
        """
        seen: set[int] = set()
        while True:
            seen |= {hit.key for hit in page}
            floor = page[-1].score if len(page) == MAX_HITS else -math.inf
            hits = [hit for hit in self._score_clips(query, seen) if hit.score >= floor]
            if floor == -math.inf or len(hits) >= num_hits:
                return Hits(hits, is_all=floor == -math.inf)
            page = self._table.search(query, MAX_HITS, only=only, without=sorted(seen))

    def _score_clips(self, query: Vectors, keys: Iterable[int]) -> list[ClipHit]:
        """Return all clips of those videos that this view holds, best first."""
        scores = self.clip_scores(query, [self._names[key] for key in keys if key in self._names])
        hits = [ClipHit(name, clip, score) for name, row in scores.items() for clip, score in enumerate(row.tolist())]
        return sorted(hits, key=lambda hit: -hit.score)

    def _read_vectors(self, video_ids: Sequence[str]) -> dict[str, Vectors]:
        found = self._table.read({compute_key(name): self.layout.num_clips[name] for name in video_ids})
        return {self._names[key]: vectors for key, vectors in found.items()}


def _fill(table: MilvusTable, stored: Mapping[int, str], source: ClipIndex, video_ids: Sequence[str]) -> None:
    videos = {compute_key(video_id): store_video(source.get_vectors(video_id)) for video_id in video_ids}
    missing = {key: video for key, video in videos.items() if stored.get(key) != video.digest}
    if missing:
        table.delete(list(missing))
        table.write(missing)
