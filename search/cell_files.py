"""Files of the localizer's cells: `cells-<stream>.npy` holds those of all videos in order, `cells.json` says how many.

Letters: C cells of a video, P places, D width.
"""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from corpus.files import read_json, write_json
from search.array_files import map_array, write_arrays
from search.windowed_cells import StreamCells

_COUNTS = "cells.json"


def save_cells(folder: Path, videos: Sequence[Mapping[str, StreamCells]], streams: Iterable[str]) -> None:
    """Write the cells of videos, float16 (C, P, D) of each stream, one video after the other."""
    counts = {}
    for stream in streams:
        chosen = [video[stream] for video in videos]
        write_arrays(_name_file(folder, stream), [one.array for one in chosen])
        counts[stream] = {
            "num_clips": [one.num_clips for one in chosen],
            "num_cells": [len(one.array) for one in chosen],
        }
    write_json(folder / _COUNTS, counts)


def load_cells(folder: Path) -> list[dict[str, StreamCells]]:
    """Return the cells of videos in order, by stream. The mapped arrays stay readable after their files are deleted."""
    streams: dict[str, list[StreamCells]] = {}
    for stream, counts in read_json(folder / _COUNTS).items():
        array, num_cells = map_array(_name_file(folder, stream)), counts["num_cells"]
        rows = zip(counts["num_clips"], num_cells, itertools.accumulate(num_cells), strict=True)
        streams[stream] = [StreamCells(num_clips, array[end - count : end]) for num_clips, count, end in rows]
    return [dict(zip(streams, cells, strict=True)) for cells in zip(*streams.values(), strict=True)]


def _name_file(folder: Path, stream: str) -> Path:
    return folder / f"cells-{stream}.npy"
