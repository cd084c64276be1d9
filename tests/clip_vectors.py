"""Drawn clip vectors and indexes of them, for the tests of clip indexes."""

from collections.abc import Mapping

import numpy as np

from corpus.store import Fingerprint
from corpus.windows import Window
from search.clip_index import FaissClipIndex, Vectors

BUNDLE = "b" * 64
FINGERPRINT = Fingerprint(identity={"weights": "abc"}, environment={"av": "18.1"})


def draw_unit_vectors(num_clips: int, *, dim: int = 8, seed: int = 0) -> Vectors:
    """Return vectors of length 1 in random directions, (S, E)."""
    clips = np.random.default_rng(seed).normal(size=(num_clips, dim)).astype(np.float32)
    return clips / np.linalg.norm(clips, axis=1, keepdims=True)


def draw_videos(*, num_videos: int = 30, dim: int = 8, seed: int = 0) -> dict[str, Vectors]:
    """Return the clip vectors of videos with 1 to 39 clips."""
    lengths = np.random.default_rng(seed).integers(1, 40, num_videos).tolist()
    return {
        f"v{number:02d}": draw_unit_vectors(length, dim=dim, seed=1000 * seed + number) for number, length in enumerate(lengths)
    }


def cut_in_two(num_clips: int) -> list[Window]:
    """Return two windows that share a third of a video."""
    third = num_clips // 3
    return [Window(0, 2 * third, 0, 2 * third), Window(third, num_clips, third, num_clips)]


def build_index(vectors: Mapping[str, Vectors], **options: int) -> FaissClipIndex:
    """Index videos in this process; videos with 20 clips and more have two windows."""
    windows = {name: cut_in_two(len(clips)) for name, clips in vectors.items() if len(clips) >= 20}
    return FaissClipIndex.build(vectors, clip_rate_hz=2.0, fingerprint=FINGERPRINT, windows=windows, **options)
