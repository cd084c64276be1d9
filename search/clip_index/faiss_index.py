"""In-process clip index with faiss.

Its folder holds `clips.safetensors` (one float32 matrix), `clips.json` (videos, windows of the long ones, clip rate,
fingerprint, checksums) and, for a large collection, `clips.faiss` (the lists of the approximate search).
Letters: R rows, S clips of a video, E embedding width.
"""

import heapq
import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save

from corpus.files import read_json, sha256_file, write_bytes, write_json
from corpus.store import Fingerprint
from corpus.windows import Window
from search.clip_index.base import ClipIndex, Hits, Vectors, require_unit_vectors
from search.clip_index.layout import ClipLayout, list_bounds
from search.clip_index.searchers import FLAT_ROWS, Chosen, FlatSearcher, IvfSearcher
from search.clip_index.segment import Segment

_VECTORS_FILE, _LISTS_FILE, _INDEX_FILE = "clips.safetensors", "clips.faiss", "clips.json"


class FaissClipIndex(ClipIndex):
    """Searches a collection with faiss: exactly up to `FLAT_ROWS` clips, and always exactly in videos added later.

    Removed videos stay in the matrix and are skipped until the collection is indexed again.
    """

    def __init__(
        self,
        base: Segment,
        layout: ClipLayout,
        *,
        fingerprint: Fingerprint,
        added: Segment | None = None,
        removed: frozenset[str] = frozenset(),
    ) -> None:
        """Search the segment `base` without the videos `removed`, and the segment `added`; see `build` and `load`."""
        super().__init__(layout, fingerprint=fingerprint, embedding_dim=base.vectors.shape[1])
        self._base, self._added, self._removed = base, added, removed

    @classmethod
    def build(
        cls,
        vectors: Mapping[str, Vectors],
        *,
        clip_rate_hz: float | Mapping[str, float],
        fingerprint: Fingerprint,
        windows: Mapping[str, Sequence[Window]] | None = None,
        flat_rows: int = FLAT_ROWS,
    ) -> "FaissClipIndex":
        """Index the clip vectors of each video, (S, E) float32 of unit length; the order of the videos does not matter.

        A video that `windows` does not name is one window. More than `flat_rows` clips are searched approximately.

        Raises:
            ValueError: when there is no video, or naming a video whose vectors are not (S, E) or not of unit length.
        """
        if not vectors:
            raise ValueError("a clip index needs at least one video, got none")
        ordered = {video_id: np.asarray(vectors[video_id], dtype=np.float32) for video_id in sorted(vectors)}
        width = next(iter(ordered.values())).shape[-1]
        for video_id, clips in ordered.items():
            require_unit_vectors(clips, width=width, video_id=video_id)
        bounds = {video_id: list_bounds(parts) for video_id, parts in (windows or {}).items() if len(parts) > 1}
        layout = ClipLayout({video_id: len(clips) for video_id, clips in ordered.items()}, clip_rate_hz, bounds)
        matrix = np.concatenate(list(ordered.values()))
        searcher = FlatSearcher(matrix) if len(matrix) <= flat_rows else IvfSearcher.build(matrix)
        return cls(Segment(matrix, layout.num_clips, searcher), layout, fingerprint=fingerprint)

    def add(self, video_id: str, clips: Vectors, *, clip_rate_hz: float, windows: Sequence[Window]) -> "FaissClipIndex":
        """Return an index that holds one more video; see `ClipIndex.add`."""
        layout = self.layout.add(video_id, len(clips), clip_rate_hz=clip_rate_hz, windows=windows)
        require_unit_vectors(clips, width=self.embedding_dim, video_id=video_id)
        return self._replace(layout, {**self._list_added(), video_id: clips.astype(np.float32)}, self._removed)

    def remove(self, video_id: str) -> "FaissClipIndex":
        """Return an index that lacks a video; see `ClipIndex.remove`."""
        layout, added = self.layout.remove(video_id), self._list_added()
        if video_id in added:
            del added[video_id]
            return self._replace(layout, added, self._removed)
        return self._replace(layout, added, self._removed | {video_id})

    def discard_strays(self) -> None:
        """Do nothing: other vectors do not outlive the process."""

    def save(self, folder: Path) -> None:
        """Write the vectors and the lists, then the index file with their checksums, which completes them.

        Raises:
            ValueError: when videos were added or removed since the index was built or loaded.
        """
        if self._added or self._removed:
            raise ValueError("cannot save an index with added or removed videos; build a new one from all its videos")
        write_bytes(folder / _VECTORS_FILE, save({"vectors": np.ascontiguousarray(self._base.vectors)}))
        index = {
            "clip_rate_hz": self.layout.clip_rate_hz,
            "fingerprint": self.fingerprint.to_json(),
            "sha256": sha256_file(folder / _VECTORS_FILE),
            "videos": [[video_id, count] for video_id, count in self.layout.num_clips.items()],
            "windows": {video_id: bounds.tolist() for video_id, bounds in sorted(self.layout.windows.items())},
        }
        if isinstance(self._base.searcher, IvfSearcher):
            self._base.searcher.save(folder / _LISTS_FILE)
            index["lists_sha256"] = sha256_file(folder / _LISTS_FILE)
        write_json(folder / _INDEX_FILE, index)

    @classmethod
    def load(cls, folder: Path) -> "FaissClipIndex":
        """Read a saved index; the vectors stay in their file and are read on demand.

        Raises:
            FileNotFoundError: when the folder holds no finished clip index.
            ValueError: naming a damaged file.
        """
        if not (folder / _INDEX_FILE).is_file():
            raise FileNotFoundError(f"{folder / _INDEX_FILE} does not exist: no finished clip index; run: dvc repro index")
        index = read_json(folder / _INDEX_FILE)
        _verify_file(folder / _VECTORS_FILE, index["sha256"])
        vectors = _map_vectors(folder / _VECTORS_FILE)
        windows = {video_id: np.array(bounds) for video_id, bounds in index["windows"].items()}
        layout = ClipLayout(dict(index["videos"]), index["clip_rate_hz"], windows)
        searcher = _load_searcher(folder, index, vectors)
        fingerprint = Fingerprint.from_json(index["fingerprint"])
        return cls(Segment(vectors, layout.num_clips, searcher), layout, fingerprint=fingerprint)

    @cached_property
    def _kept(self) -> Chosen | None:
        """The mask of the base's rows that were not removed; None: all rows."""
        return self._base.choose(self._removed, without=True) if self._removed else None

    def _find_hits(self, query: Vectors, num_hits: int, chosen: Sequence[str] | None) -> Hits:
        added, base_rows, added_rows, total = self._added, self._kept, None, self.num_clips
        if chosen is not None:
            total = sum(self.layout.num_clips[name] for name in chosen)
            of_added = {name for name in chosen if added and name in added.rows}
            base_rows = self._base.choose(name for name in chosen if name not in of_added)
            added_rows = added.choose(of_added) if added else None
        found = self._base.search(query, num_hits, base_rows)
        if added:
            later = added.search(query, num_hits, added_rows)
            found = list(heapq.merge(found, later, key=lambda hit: -hit.score))[:num_hits]
        return Hits(found, is_all=num_hits >= total)

    def _read_vectors(self, video_ids: Sequence[str]) -> dict[str, Vectors]:
        added = self._added.rows if self._added else {}
        return {name: (self._added if self._added and name in added else self._base).get_vectors(name) for name in video_ids}

    def _list_added(self) -> dict[str, Vectors]:
        return {name: self._added.get_vectors(name) for name in self._added.num_clips} if self._added else {}

    def _replace(self, layout: ClipLayout, added: Mapping[str, Vectors], removed: frozenset[str]) -> "FaissClipIndex":
        segment = None
        if added:
            matrix = np.concatenate(list(added.values()))
            segment = Segment(matrix, {name: len(clips) for name, clips in added.items()}, FlatSearcher(matrix))
        return FaissClipIndex(self._base, layout, fingerprint=self.fingerprint, added=segment, removed=removed)


def _load_searcher(folder: Path, index: Mapping[str, Any], vectors: Vectors) -> FlatSearcher | IvfSearcher:
    if "lists_sha256" not in index:
        return FlatSearcher(vectors)
    _verify_file(folder / _LISTS_FILE, index["lists_sha256"])
    return IvfSearcher.load(vectors, folder / _LISTS_FILE)


def _verify_file(path: Path, expected: str) -> None:
    found = sha256_file(path)
    if found != expected:
        raise ValueError(f"{path} is damaged: sha256 {found}, expected {expected}; run: dvc repro --force index")


def _map_vectors(path: Path) -> Vectors:
    """Memory-map the only array of a verified safetensors file.

    The file holds the header's length in eight bytes, a JSON header, and the rows.
    """
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        tensor = json.loads(file.read(length))["vectors"]
    offset = 8 + length + tensor["data_offsets"][0]
    return np.asarray(np.memmap(path, dtype="<f4", mode="r", offset=offset, shape=tuple(tensor["shape"])))
