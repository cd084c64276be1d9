"""CAL: scores a moment by the mean distance of its clips to the sentence.

Letters: B rows, N clips, M candidate moments, E embedding width.
"""

from typing import Literal

from torch import Tensor

from models.contracts.batches import InputDims, TextFeatures
from models.layers.clip_alignment import ClipAlignment, ClipAlignmentValues
from models.layers.set_distances import compute_squared_distances


class CAL(ClipAlignment):
    """Clip Alignment with Language: d(q, m) = (1 / |m|) sum over clips c of m of ||f(c) - g(q)||^2.

    Source: Escorcia et al. 2019 (arXiv:1907.12763), and the authors' code. The cost of a moment is a mean over its clips, so a
    collection needs one index entry per clip and none per moment (`models.retrievers.cal`).
    Deviations: windows are fractions of a video (`models.layers.window_grid`); weights start as torch's layers do, not uniform
    in (-0.08, 0.08); `models.layers.clip_alignment` describes the handling of places. The mean over clips is never below
    their minimum. If longer windows are tiled by the shortest ones, the nearest moment thus always has the shortest length.
    """

    def measure(self, clips: Tensor, mask: Tensor, text: TextFeatures) -> tuple[Tensor, Tensor]:
        """Return the mean squared distance of the clips of every window to the sentence, (B, M), and the sentence, (B, E)."""
        sentence = self._place(self.sentence(text))  # (B, E)
        costs = compute_squared_distances(clips, sentence[:, None])  # (B, N, 1)
        return self.grid.average(costs, mask)[..., 0], sentence


class CALParams(ClipAlignmentValues):
    """Values of CAL."""

    name: Literal["cal"]

    def build(self, dims: InputDims) -> CAL:
        """Return an untrained CAL."""
        return CAL(self, dims)
