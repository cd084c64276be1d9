"""Cohort: the videos of a collection that a sentence is compared in, to tell how much better it fits one of them.

Letters: V videos of the cohort, C clips of all of them, Q sentences, E embedding width.
"""

from typing import NamedTuple

import numpy as np

from corpus.moments import Floats, Ints
from search.clip_index import ClipIndex, Vectors

MAX_VIDEOS = 200
MAX_CLIPS = 50_000  # of all its videos: bounds memory and time, however long the videos are


class Cohort(NamedTuple):
    """Some videos of a collection with the vectors of their clips, one video after the other."""

    video_ids: tuple[str, ...]
    vectors: Vectors  # (C, E)
    starts: Ints  # (V,) the first clip of each video

    @classmethod
    def build(cls, clips: ClipIndex) -> "Cohort":
        """Choose at most `MAX_VIDEOS` videos of an index, evenly in the order of their names, with `MAX_CLIPS` clips.

        Videos that would exceed that number of clips are left out.
        """
        names = sorted(clips.layout.num_clips)
        places = np.linspace(0, len(names) - 1, min(len(names), MAX_VIDEOS)).round().astype(int)
        chosen, total = list[str](), 0
        for name in (names[place] for place in places):
            count = clips.count_clips(name)
            if total + count <= MAX_CLIPS:
                chosen.append(name)
                total += count
        vectors = clips.read_vectors(chosen)
        starts = np.cumsum([0, *map(len, vectors.values())])[:-1].astype(np.int64)
        nothing = np.zeros((0, clips.embedding_dim), dtype=np.float32)
        return cls(tuple(vectors), np.concatenate([nothing, *vectors.values()]), starts)

    def score(self, queries: Vectors) -> Floats:
        """Return the score of the best clip of each video for each sentence: (Q, E) -> (Q, V)."""
        if not (len(queries) and self.video_ids):
            return np.zeros((len(queries), len(self.video_ids)))
        scores: Floats = np.maximum.reduceat(queries @ self.vectors.T, self.starts, axis=1).astype(np.float64)
        return scores

    def score_others(self, query: Vectors, video_id: str) -> Floats:
        """Return the scores (1, V) of one sentence (E,) in the videos but one."""
        kept = np.array([name != video_id for name in self.video_ids], dtype=bool)
        return self.score(query[None])[:, kept]
