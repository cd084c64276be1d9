"""The clip vectors of some videos in one matrix. Letters: R rows, S clips of a video, E embedding width."""

from collections.abc import Iterable, Mapping
from functools import cached_property

import numpy as np

from corpus.moments import Ints
from search.clip_index.base import ClipHit, Vectors
from search.clip_index.searchers import Chosen, FlatSearcher, IvfSearcher


class Segment:
    """Clip vectors of consecutive videos with their searcher. Immutable."""

    def __init__(self, vectors: Vectors, num_clips: Mapping[str, int], searcher: FlatSearcher | IvfSearcher) -> None:
        """Take a matrix (R, E) whose rows are the clips of the videos in the order of `num_clips`."""
        self.vectors, self.searcher = vectors, searcher
        self.num_clips = dict(num_clips)
        self._ids = tuple(num_clips)
        self._ends = np.cumsum(list(num_clips.values()))

    @cached_property
    def rows(self) -> dict[str, slice]:
        """The rows of each video."""
        counts = self.num_clips.values()
        return {name: slice(int(end) - count, int(end)) for name, count, end in zip(self._ids, counts, self._ends, strict=True)}

    def get_vectors(self, video_id: str) -> Vectors:
        """Return the vectors of a video of the segment, (S, E)."""
        return self.vectors[self.rows[video_id]]

    def choose(self, video_ids: Iterable[str], *, without: bool = False) -> Chosen:
        """Return a mask (R,) of the rows of videos of the segment, or of all other rows if `without` is set."""
        chosen = np.full(len(self.vectors), without, dtype=np.bool_)
        for video_id in video_ids:
            chosen[self.rows[video_id]] = not without
        return chosen

    def search(self, query: Vectors, num_hits: int, chosen: Chosen | None) -> list[ClipHit]:
        """Return the nearest clips, best first."""
        found = self.searcher.search(query, num_hits, chosen)
        places: Ints = np.searchsorted(self._ends, found.rows, side="right")
        names = [self._ids[place] for place in places.tolist()]
        return [
            ClipHit(name, row - self.rows[name].start, score)
            for name, row, score in zip(names, found.rows.tolist(), found.scores.tolist(), strict=True)
        ]
