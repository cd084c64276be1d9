"""Interface of clip indexes. Letters: S clips of a video, E embedding width."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from corpus.store import Fingerprint
from corpus.windows import Window, WindowId
from search.clip_index.layout import ClipLayout

Vectors = NDArray[np.float32]

_CLIPS_PER_WINDOW = 16  # hits asked for per wanted window; more are fetched when they fall on too few windows
_UNIT_TOLERANCE = 1e-2


class ClipHit(NamedTuple):
    """A clip that was found, by its number in its video."""

    video_id: str
    clip: int
    score: float


class Hits(NamedTuple):
    """The best clips for a query, best first."""

    clips: list[ClipHit]
    is_all: bool  # no further clips exist


class ClipIndex(ABC):
    """Unit clip vectors of many videos, searched by inner product. Immutable: `add` and `remove` return a new index.

    All implementations give equal scores, and equal windows except among equal scores.
    """

    def __init__(self, layout: ClipLayout, *, fingerprint: Fingerprint, embedding_dim: int) -> None:
        """Describe the videos that can be found, and the features that the vectors were made of."""
        self.layout = layout
        self.fingerprint = fingerprint
        self.embedding_dim = embedding_dim

    @property
    def num_clips(self) -> int:
        """The number of clips of all videos together."""
        return self.layout.total

    @property
    def video_ids(self) -> tuple[str, ...]:
        """The ids of the indexed videos."""
        return tuple(self.layout.num_clips)

    def __contains__(self, video_id: object) -> bool:
        """Tell whether a video is in the index."""
        return video_id in self.layout.num_clips

    def search_windows(
        self, query: Vectors, num_windows: int, *, video_ids: Iterable[str] | None = None
    ) -> list[tuple[WindowId, float]]:
        """Return up to `num_windows` (window, score of its best clip), best first, ties by id. `query` is (E,).

        `video_ids` limits the search to those videos.

        Raises:
            KeyError: naming a video that is not in the index.
        """
        self._require_query(query)
        chosen = None if video_ids is None else self._require_videos(video_ids)
        num_hits = _CLIPS_PER_WINDOW * num_windows
        while True:
            hits = self._find_hits(query, num_hits, chosen)
            best: dict[WindowId, float] = {}
            for hit in hits.clips:
                for window in self.layout.list_windows(hit.video_id, hit.clip):
                    best.setdefault(window, hit.score)
            if len(best) >= num_windows or hits.is_all:
                return sorted(best.items(), key=lambda item: (-item[1], item[0]))[:num_windows]
            num_hits *= 4

    def clip_scores(self, query: Vectors, video_ids: Iterable[str]) -> dict[str, Vectors]:
        """Return the inner products of a query (E,) with the clips of videos, (S,) each.

        The result may lack videos that were deleted since this index was made.

        Raises:
            KeyError: naming a video that is not in the index.
        """
        self._require_query(query)
        vectors = self.read_vectors(video_ids)
        return {video_id: clips @ query.astype(np.float32) for video_id, clips in vectors.items()}

    def read_vectors(self, video_ids: Iterable[str]) -> dict[str, Vectors]:
        """Return the vectors of the clips of videos, (S, E) each; a video may be missing, as in `clip_scores`.

        Raises:
            KeyError: naming a video that is not in the index.
        """
        return self._read_vectors(self._require_videos(video_ids))

    def get_vectors(self, video_id: str) -> Vectors:
        """Return the vectors of the clips of one video, (S, E).

        Raises:
            KeyError: naming a video that is not in the index.
        """
        vectors = self.read_vectors([video_id])
        if video_id not in vectors:
            raise KeyError(f"the video {video_id!r} was deleted")
        return vectors[video_id]

    def get_clip_rate(self, video_id: str) -> float:
        """Return the clips per second of a video."""
        return self.layout.get_clip_rate(video_id)

    def count_clips(self, video_id: str) -> int:
        """Return the number of clips of one video.

        Raises:
            KeyError: naming a video that is not in the index.
        """
        self.layout.require(video_id)
        return self.layout.num_clips[video_id]

    @abstractmethod
    def add(self, video_id: str, clips: Vectors, *, clip_rate_hz: float, windows: Sequence[Window]) -> "ClipIndex":
        """Return an index that holds one more video: its vectors (S, E), and its windows.

        Raises:
            ValueError: when the video is in the index already, or its vectors are not (S, E) of unit length.
        """

    @abstractmethod
    def remove(self, video_id: str) -> "ClipIndex":
        """Return an index that lacks a video.

        Raises:
            KeyError: naming a video that is not in the index.
        """

    @abstractmethod
    def discard_strays(self) -> None:
        """Delete stored vectors of videos that are not in this index, which a killed process may leave."""

    @abstractmethod
    def _find_hits(self, query: Vectors, num_hits: int, chosen: Sequence[str] | None) -> Hits:
        """Return the best `num_hits` clips for a query, from all videos or only the `chosen` ones."""

    @abstractmethod
    def _read_vectors(self, video_ids: Sequence[str]) -> dict[str, Vectors]:
        """Return the vectors of videos that are in the index, (S, E) each."""

    def _require_videos(self, video_ids: Iterable[str]) -> list[str]:
        ids = list(video_ids)
        for video_id in ids:
            self.layout.require(video_id)
        return ids

    def _require_query(self, query: Vectors) -> None:
        if query.shape != (self.embedding_dim,) or not np.isfinite(query).all():
            raise ValueError(f"a query vector of this index must be finite, of shape ({self.embedding_dim},), got {query.shape}")


def require_unit_vectors(clips: Vectors, *, width: int, video_id: str) -> None:
    """Refuse the vectors of a video that are not (S, `width`) or not of unit length.

    Raises:
        ValueError: naming the video.
    """
    if clips.ndim != 2 or clips.shape[1] != width or len(clips) == 0:
        raise ValueError(f"video {video_id!r}: clip vectors must be (S, {width}) with S >= 1, got {clips.shape}")
    lengths = np.linalg.norm(clips, axis=1)
    if not np.allclose(lengths, 1, atol=_UNIT_TOLERANCE):
        worst = lengths[np.argmax(np.abs(lengths - 1))]
        raise ValueError(f"video {video_id!r}: clip vectors must have length 1, got one of length {worst:.4f}")
