"""The clip index: the clip vectors of a collection in one faiss index, so that a query finds windows without running a network.

A window is what the localizer reads at once: a whole video, or a part of a long one. The index holds each clip once.
The folder form is `clips.safetensors` (one float32 matrix) and `clips.json` (videos, windows of the long ones, clip rate,
fingerprint, checksum). Letters: S clips of a video, W windows of a video, E embedding width.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import faiss
import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save

from corpus.files import read_json, sha256_file, write_bytes, write_json
from corpus.moments import Ints
from corpus.store import Fingerprint
from corpus.windows import Window

Vectors = NDArray[np.float32]

_VECTORS_FILE, _INDEX_FILE = "clips.safetensors", "clips.json"
_CLIPS_PER_WINDOW = 16  # hits asked for per wanted window; more are fetched when they fall on too few windows
_UNIT_TOLERANCE = 1e-2


class WindowId(NamedTuple):
    """A window of a video, numbered from 0 in the order of time."""

    video_id: str
    number: int


class ClipIndex:
    """Unit clip vectors of many videos, searched exactly by inner product; equal inputs give equal answers.

    `clip_rate_hz` is the rate of all videos, or that of each by its id. `windows` are the clips [first, end) of each window,
    (W, 2), of the videos that have more than one.
    """

    def __init__(
        self,
        vectors: Vectors,
        num_clips: Mapping[str, int],
        *,
        clip_rate_hz: float | Mapping[str, float],
        fingerprint: Fingerprint,
        windows: Mapping[str, Ints] | None = None,
    ) -> None:
        """Index a matrix whose rows are the clips of the videos in the order of `num_clips`; see `build`."""
        self._clip_rate_hz = clip_rate_hz
        self._windows = windows or {}
        self.fingerprint = fingerprint
        self.video_ids = tuple(num_clips)
        self._vectors = vectors
        ends = np.cumsum(list(num_clips.values()))
        self._rows = {
            video_id: slice(int(end) - count, int(end)) for (video_id, count), end in zip(num_clips.items(), ends, strict=True)
        }
        self._video_of_row = np.repeat(np.arange(len(num_clips)), list(num_clips.values()))
        self._faiss = faiss.IndexFlatIP(vectors.shape[1])
        self._faiss.add(vectors)

    @classmethod
    def build(
        cls,
        vectors: Mapping[str, Vectors],
        *,
        clip_rate_hz: float | Mapping[str, float],
        fingerprint: Fingerprint,
        windows: Mapping[str, Sequence[Window]] | None = None,
    ) -> "ClipIndex":
        """Index the clip vectors of each video, (S, E) float32 of unit length; the order of the videos does not matter.

        A video that `windows` does not name is one window.

        Raises:
            ValueError: when there is no video, or naming a video whose vectors are not (S, E) or not of unit length.
        """
        if not vectors:
            raise ValueError("ClipIndex needs at least one video, got none")
        ordered = {video_id: np.asarray(vectors[video_id], dtype=np.float32) for video_id in sorted(vectors)}
        width = next(iter(ordered.values())).shape[-1]
        for video_id, clips in ordered.items():
            _require_unit_vectors(clips, width=width, video_id=video_id)
        matrix = np.ascontiguousarray(np.concatenate(list(ordered.values())))
        num_clips = {video_id: len(clips) for video_id, clips in ordered.items()}
        bounds = {video_id: list_bounds(parts) for video_id, parts in (windows or {}).items() if len(parts) > 1}
        return cls(matrix, num_clips, clip_rate_hz=clip_rate_hz, fingerprint=fingerprint, windows=bounds)

    @property
    def embedding_dim(self) -> int:
        """The width E of the vectors."""
        return int(self._vectors.shape[1])

    @property
    def num_clips(self) -> int:
        """The number of clips of all videos together."""
        return len(self._vectors)

    def __contains__(self, video_id: object) -> bool:
        """Tell whether a video is in the index."""
        return video_id in self._rows

    def search_windows(
        self, query: Vectors, num_windows: int, *, video_ids: Iterable[str] | None = None
    ) -> list[tuple[WindowId, float]]:
        """Return up to `num_windows` (window, score of its best clip), best first, ties by id. `query` is (E,).

        `video_ids` are the only videos to search in.

        Raises:
            KeyError: naming a video that is not in the index.
        """
        self._require_query(query)
        chosen = None if video_ids is None else self._choose_rows(video_ids)
        num_clips = self.num_clips if chosen is None else int(chosen.sum())
        if num_clips == 0:
            return []
        num_hits = min(num_clips, _CLIPS_PER_WINDOW * num_windows)
        while True:
            best = self._find_best_clips(query, num_hits, chosen)
            if len(best) >= num_windows or num_hits == num_clips:
                return sorted(best.items(), key=lambda item: (-item[1], item[0]))[:num_windows]
            num_hits = min(num_clips, 4 * num_hits)

    def get_clip_rate(self, video_id: str) -> float:
        """Return the clips a second of a video."""
        return self._clip_rate_hz[video_id] if isinstance(self._clip_rate_hz, Mapping) else self._clip_rate_hz

    def clip_scores(self, query: Vectors, video_id: str) -> Vectors:
        """Return the inner products of a query (E,) with the clips of one video, (S,).

        Raises:
            KeyError: naming a video that is not in the index.
        """
        self._require_query(query)
        scores: Vectors = self._vectors[self._find_rows(video_id)] @ query.astype(np.float32)
        return scores

    def count_clips(self, video_id: str) -> int:
        """Return the number of clips of one video.

        Raises:
            KeyError: naming a video that is not in the index.
        """
        return len(self.get_vectors(video_id))

    def get_vectors(self, video_id: str) -> Vectors:
        """Return the vectors of the clips of one video, (S, E).

        Raises:
            KeyError: naming a video that is not in the index.
        """
        return self._vectors[self._find_rows(video_id)]

    def add(self, video_id: str, clips: Vectors, *, clip_rate_hz: float, windows: Sequence[Window]) -> "ClipIndex":
        """Return an index that holds one more video: its vectors (S, E), and its windows.

        Raises:
            ValueError: when the video is in the index already, or as `build`.
        """
        if video_id in self:
            raise ValueError(f"the video {video_id!r} is in the index already")
        _require_unit_vectors(clips, width=self.embedding_dim, video_id=video_id)
        num_clips = self._list_counts() | {video_id: len(clips)}
        bounds = {**self._windows, **({video_id: list_bounds(windows)} if len(windows) > 1 else {})}
        rates_hz = {**self._list_rates(), video_id: clip_rate_hz}
        return self._rebuild(np.concatenate([self._vectors, clips.astype(np.float32)]), num_clips, rates_hz, bounds)

    def remove(self, video_id: str) -> "ClipIndex":
        """Return an index that lacks a video.

        Raises:
            KeyError: naming a video that is not in the index.
        """
        rows = self._find_rows(video_id)
        num_clips, rates_hz, windows = self._list_counts(), self._list_rates(), dict(self._windows)
        for kept in (num_clips, rates_hz, windows):
            kept.pop(video_id, None)
        return self._rebuild(np.delete(self._vectors, rows, axis=0), num_clips, rates_hz, windows)

    def _rebuild(
        self, vectors: Vectors, num_clips: Mapping[str, int], rates_hz: Mapping[str, float], windows: Mapping[str, Ints]
    ) -> "ClipIndex":
        rate_hz = rates_hz if isinstance(self._clip_rate_hz, Mapping) else self._clip_rate_hz
        return ClipIndex(vectors, num_clips, clip_rate_hz=rate_hz, fingerprint=self.fingerprint, windows=windows)

    def _list_counts(self) -> dict[str, int]:
        return {video_id: rows.stop - rows.start for video_id, rows in self._rows.items()}

    def _list_rates(self) -> dict[str, float]:
        return dict(self._clip_rate_hz) if isinstance(self._clip_rate_hz, Mapping) else {}

    def save(self, folder: Path) -> None:
        """Write the vectors and, with their checksum, the index file that makes them complete."""
        write_bytes(folder / _VECTORS_FILE, save({"vectors": self._vectors}))
        index = {
            "clip_rate_hz": self._clip_rate_hz,
            "fingerprint": self.fingerprint.to_json(),
            "sha256": sha256_file(folder / _VECTORS_FILE),
            "videos": [[video_id, count] for video_id, count in self._list_counts().items()],
            "windows": {video_id: bounds.tolist() for video_id, bounds in sorted(self._windows.items())},
        }
        write_json(folder / _INDEX_FILE, index)

    @classmethod
    def load(cls, folder: Path) -> "ClipIndex":
        """Read what `save` wrote.

        Raises:
            FileNotFoundError: when the folder holds no finished clip index.
            ValueError: when the vectors are not the ones that were written.
        """
        if not (folder / _INDEX_FILE).is_file():
            raise FileNotFoundError(f"{folder / _INDEX_FILE} does not exist: no finished clip index; run: dvc repro index")
        index = read_json(folder / _INDEX_FILE)
        path = folder / _VECTORS_FILE
        found = sha256_file(path)
        if found != index["sha256"]:
            raise ValueError(f"{path} is damaged: sha256 {found}, expected {index['sha256']}; run: dvc repro --force index")
        return cls(
            load_file(path)["vectors"],
            dict(index["videos"]),
            clip_rate_hz=index["clip_rate_hz"],
            fingerprint=Fingerprint.from_json(index["fingerprint"]),
            windows={video_id: np.array(bounds) for video_id, bounds in index["windows"].items()},
        )

    def _find_best_clips(self, query: Vectors, num_hits: int, chosen: NDArray[np.bool_] | None) -> dict[WindowId, float]:
        parameters: dict[str, Any] = {}
        if chosen is not None:
            tools: Any = faiss  # its stubs know the arguments of C++ alone
            parameters["params"] = tools.SearchParameters(sel=tools.IDSelectorBitmap(np.packbits(chosen, bitorder="little")))
        scores, rows = self._faiss.search(np.ascontiguousarray(query[None], dtype=np.float32), num_hits, **parameters)
        best: dict[WindowId, float] = {}
        for row, score in zip(rows[0].tolist(), scores[0].tolist(), strict=True):
            for window in self._list_windows(row):
                best.setdefault(window, score)
        return best

    def _list_windows(self, row: int) -> list[WindowId]:
        """Return the windows that hold a clip."""
        video_id = self.video_ids[self._video_of_row[row]]
        bounds = self._windows.get(video_id)
        if bounds is None:
            return [WindowId(video_id, 0)]
        clip = row - self._rows[video_id].start
        return [WindowId(video_id, int(number)) for number in np.flatnonzero((bounds[:, 0] <= clip) & (clip < bounds[:, 1]))]

    def _choose_rows(self, video_ids: Iterable[str]) -> NDArray[np.bool_]:
        chosen = np.zeros(self.num_clips, dtype=np.bool_)
        for video_id in video_ids:
            chosen[self._find_rows(video_id)] = True
        return chosen

    def _find_rows(self, video_id: str) -> slice:
        if video_id not in self._rows:
            raise KeyError(f"the video {video_id!r} is not in the index; run: dvc repro index")
        return self._rows[video_id]

    def _require_query(self, query: Vectors) -> None:
        if query.shape != (self.embedding_dim,) or not np.isfinite(query).all():
            raise ValueError(f"a query vector of this index must be finite, of shape ({self.embedding_dim},), got {query.shape}")


def list_bounds(windows: Sequence[Window]) -> Ints:
    """Return the clips [first, end) of windows, (W, 2)."""
    return np.array([[window.first, window.end] for window in windows], dtype=np.int64)


def _require_unit_vectors(clips: Vectors, *, width: int, video_id: str) -> None:
    if clips.ndim != 2 or clips.shape[1] != width or len(clips) == 0:
        raise ValueError(f"video {video_id!r}: clip vectors must be (S, {width}) with S >= 1, got {clips.shape}")
    lengths = np.linalg.norm(clips, axis=1)
    if not np.allclose(lengths, 1, atol=_UNIT_TOLERANCE):
        worst = lengths[np.argmax(np.abs(lengths - 1))]
        raise ValueError(f"video {video_id!r}: clip vectors must have length 1, got one of length {worst:.4f}")
