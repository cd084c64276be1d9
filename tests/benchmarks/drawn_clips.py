"""Simulated collections of any size, drawn around the clips of a real collection, for tests/benchmarks/clip_index.py.

Each simulated video is a real video, moved as a whole and clip by clip along the collection's directions of variation. The
moves are so large that a clip is as close to its source as real clips are to their nearest clip of another video.
Letters: R clips of the collection, Q sentences, E embedding width.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from search.clip_index import Vectors

CLIPS_PER_VIDEO, SEED = 60, 2026


class Source(NamedTuple):
    """The real clips with the video of each, the sentences, and the size of the moves."""

    clips: Vectors  # (R, E)
    video_of_row: np.ndarray[Any, Any]  # (R,)
    queries: Vectors  # (Q, E)
    step: float


def fit_step(clips: Vectors, video_of_row: Any) -> float:
    """Return the size of moves for which a clip is as close to its source as real clips are to those of other videos."""
    rng = np.random.default_rng(SEED)
    sample = rng.choice(len(clips), 2000, replace=False)
    nearest = np.median(measure_nearest(clips[sample], video_of_row[sample], clips, video_of_row))
    low, high = 0.0, 4.0
    for _ in range(20):
        middle = (low + high) / 2
        moved = normalise(clips[sample] + middle * draw_moves(clips, len(sample), np.random.default_rng(SEED)))
        low, high = (middle, high) if np.median((moved * clips[sample]).sum(axis=1)) > nearest else (low, middle)
    return low


def measure_nearest(some: Vectors, videos: Any, clips: Vectors, video_of_row: Any) -> Vectors:
    """Return the similarity of clips to their nearest clip of another video."""
    found = np.empty(len(some), dtype=np.float32)
    for start in range(0, len(some), 100):
        scores = some[start : start + 100] @ clips.T
        scores[videos[start : start + 100, None] == video_of_row[None]] = -1
        found[start : start + 100] = scores.max(axis=1)
    return found


def draw_moves(clips: Vectors, count: int, rng: np.random.Generator) -> Vectors:
    """Return moves with the covariance of the collection's clips, (count, E)."""
    values, vectors = np.linalg.eigh(np.cov(clips[::10].T))
    return (rng.standard_normal((count, len(values))) * np.sqrt(np.maximum(values, 0)) @ vectors.T).astype(np.float32)


def normalise(vectors: Vectors) -> Vectors:
    """Return vectors of length 1."""
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def iter_clips(source: Source, num_clips: int) -> Iterator[Vectors]:
    """Yield the clips of simulated videos in batches: a full move for each video, and half a move for each clip."""
    rng = np.random.default_rng(SEED)
    starts = np.flatnonzero(np.diff(source.video_of_row, prepend=-1))
    starts = starts[starts + CLIPS_PER_VIDEO <= len(source.clips)]
    left = num_clips
    while left:
        some = rng.choice(starts, 1000)  # a short video continues into the next one
        rows = (some[:, None] + np.arange(CLIPS_PER_VIDEO)).ravel()
        of_video = np.repeat(draw_moves(source.clips, len(some), rng), CLIPS_PER_VIDEO, axis=0)
        of_clip = draw_moves(source.clips, len(rows), rng)
        scale = source.step / np.sqrt(1.25)
        part = normalise(source.clips[rows] + scale * (of_video + 0.5 * of_clip))[:left]
        left -= len(part)
        yield part


def write_clips(source: Source, num_clips: int, path: Path) -> None:
    """Write simulated clips as a NumPy file, or the real clips if `num_clips` is their number."""
    shape = (num_clips, source.clips.shape[1])
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": shape})
        for part in tqdm(
            iter_clips(source, num_clips), desc=f"draw {num_clips}", total=-(-num_clips // (1000 * CLIPS_PER_VIDEO))
        ):
            file.write(part.tobytes())


def describe_neighbours(source: Source) -> tuple[float, float]:
    """Return the median similarity to the nearest clip of another video, in the real and in a simulated collection."""
    simulated = np.concatenate(list(iter_clips(source, len(source.clips))))
    videos = np.arange(len(simulated)) // CLIPS_PER_VIDEO
    sample = np.random.default_rng(SEED).choice(len(simulated), 1000, replace=False)
    real = measure_nearest(source.clips[sample], source.video_of_row[sample], source.clips, source.video_of_row)
    drawn = measure_nearest(simulated[sample], videos[sample], simulated, videos)
    return float(np.median(real)), float(np.median(drawn))
