"""The clip index: the clip vectors of a collection in one faiss index, so that a query finds videos without running a network.

Letters: S clips of a video, E embedding width. The folder form is `clips.safetensors` (one float32 matrix) and
`clips.json` (videos, clip rate, fingerprint, checksum).
"""

from collections.abc import Mapping
from pathlib import Path

import faiss
import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save

from corpus.files import read_json, sha256_file, write_bytes, write_json
from corpus.store import Fingerprint

Vectors = NDArray[np.float32]

_VECTORS_FILE, _INDEX_FILE = "clips.safetensors", "clips.json"
_CLIPS_PER_VIDEO = 16  # hits asked for per wanted video; more are fetched when they fall on too few videos
_UNIT_TOLERANCE = 1e-2


class ClipIndex:
    """Unit clip vectors of many videos, searched exactly by inner product; equal inputs give equal answers.

    `clip_rate_hz` is the rate of all videos, or that of each by its id.
    """

    def __init__(
        self,
        vectors: Vectors,
        num_clips: Mapping[str, int],
        *,
        clip_rate_hz: float | Mapping[str, float],
        fingerprint: Fingerprint,
    ) -> None:
        """Index a matrix whose rows are the clips of the videos in the order of `num_clips`; see `build`."""
        self._clip_rate_hz = clip_rate_hz
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
        cls, vectors: Mapping[str, Vectors], *, clip_rate_hz: float | Mapping[str, float], fingerprint: Fingerprint
    ) -> "ClipIndex":
        """Index the clip vectors of each video, (S, E) float32 of unit length; the order of the videos does not matter.

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
        return cls(matrix, num_clips, clip_rate_hz=clip_rate_hz, fingerprint=fingerprint)

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

    def search_videos(self, query: Vectors, num_videos: int) -> list[tuple[str, float]]:
        """Return up to `num_videos` (video id, score of its best clip), best first, ties by id. `query` is (E,)."""
        self._require_query(query)
        wanted = min(num_videos, len(self.video_ids))
        num_hits = min(self.num_clips, _CLIPS_PER_VIDEO * wanted)
        while True:
            best = self._find_best_clips(query, num_hits)
            if len(best) >= wanted or num_hits == self.num_clips:
                return sorted(best.items(), key=lambda item: (-item[1], item[0]))[:wanted]
            num_hits = min(self.num_clips, 4 * num_hits)

    def get_clip_rate(self, video_id: str) -> float:
        """Return the clips a second of a video."""
        return self._clip_rate_hz[video_id] if isinstance(self._clip_rate_hz, Mapping) else self._clip_rate_hz

    def clip_scores(self, query: Vectors, video_id: str) -> Vectors:
        """Return the inner products of a query (E,) with the clips of one video, (S,).

        Raises:
            KeyError: naming a video that is not in the index.
        """
        self._require_query(query)
        if video_id not in self._rows:
            raise KeyError(f"the video {video_id!r} is not in the index; run: dvc repro index")
        scores: Vectors = self._vectors[self._rows[video_id]] @ query.astype(np.float32)
        return scores

    def save(self, folder: Path) -> None:
        """Write the vectors and, with their checksum, the index file that makes them complete."""
        write_bytes(folder / _VECTORS_FILE, save({"vectors": self._vectors}))
        index = {
            "clip_rate_hz": self._clip_rate_hz,
            "fingerprint": self.fingerprint.to_json(),
            "sha256": sha256_file(folder / _VECTORS_FILE),
            "videos": [[video_id, rows.stop - rows.start] for video_id, rows in self._rows.items()],
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
        )

    def _find_best_clips(self, query: Vectors, num_hits: int) -> dict[str, float]:
        scores, rows = self._faiss.search(np.ascontiguousarray(query[None], dtype=np.float32), num_hits)  # (1, num_hits) each
        best: dict[str, float] = {}
        for video, score in zip(self._video_of_row[rows[0]], scores[0], strict=True):
            best.setdefault(self.video_ids[video], float(score))
        return best

    def _require_query(self, query: Vectors) -> None:
        if query.shape != (self.embedding_dim,) or not np.isfinite(query).all():
            raise ValueError(f"a query vector of this index must be finite, of shape ({self.embedding_dim},), got {query.shape}")


def _require_unit_vectors(clips: Vectors, *, width: int, video_id: str) -> None:
    if clips.ndim != 2 or clips.shape[1] != width or len(clips) == 0:
        raise ValueError(f"video {video_id!r}: clip vectors must be (S, {width}) with S >= 1, got {clips.shape}")
    lengths = np.linalg.norm(clips, axis=1)
    if not np.allclose(lengths, 1, atol=_UNIT_TOLERANCE):
        worst = lengths[np.argmax(np.abs(lengths - 1))]
        raise ValueError(f"video {video_id!r}: clip vectors must have length 1, got one of length {worst:.4f}")
