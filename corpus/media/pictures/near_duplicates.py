"""Near-duplicate clips: a clip whose pictures nearly equal those of the clip encoded last reuses its features.

Letters: S clips, K frames of a clip, H = W pixels, C cells of a side, R clips that are encoded.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from corpus.media.pictures.upright import Images
from corpus.moments import Ints

CLIPS_PER_GROUP = 16  # the first clip of each group is encoded, so that batches of whole groups are independent of each other
_CELLS_PER_SIDE = 16

T = TypeVar("T", bound=np.generic)


def encode_distinct(clips: NDArray[Any], reuse_below: float, encode: Callable[[NDArray[Any]], NDArray[T]]) -> NDArray[T]:
    """Return the features of clips in order, (S, ...): near-duplicates share those of the clip before them.

    `clips` (S, K, H, W, 3) begin with the first clip of a group. A threshold of 0 encodes every clip.
    """
    if not reuse_below:
        return encode(clips)
    rows, places = find_distinct(compute_cell_means(clips), reuse_below)
    return encode(clips[rows])[places]


def find_distinct(means: NDArray[np.float32], reuse_below: float) -> tuple[Ints, Ints]:
    """Return the clips to encode, (R,), and the place of each clip among them, (S,), by their cell means (S, K, C, C, 3).

    Two clips are near-duplicates if no mean of a cell of their frames differs by `reuse_below` levels (0 to 255) or more.
    """
    rows: list[int] = []
    places: list[int] = []
    for number, mean in enumerate(means):
        is_first = number % CLIPS_PER_GROUP == 0
        if is_first or np.abs(mean - means[rows[-1]]).max() >= reuse_below:
            rows.append(number)
        places.append(len(rows) - 1)
    return np.array(rows), np.array(places)


def compute_cell_means(clips: Images) -> NDArray[np.float32]:
    """Return the mean level of each cell and colour: (S, K, H, W, 3) -> (S, K, C, C, 3) with C <= 16.

    Cells are squares; up to a cell's width less one is left out at the bottom and at the right.
    """
    side_px = max(1, clips.shape[2] // _CELLS_PER_SIDE)
    count = clips.shape[2] // side_px
    used = clips[:, :, : count * side_px, : count * side_px]
    cells = used.reshape(*clips.shape[:2], count, side_px, count, side_px, 3)
    means: NDArray[np.float32] = cells.mean(axis=(3, 5), dtype=np.float32)
    return means
