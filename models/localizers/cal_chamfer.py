"""CAL with the Chamfer distance between the set of clips of a moment and the set of words of a sentence.

Letters: B rows, N clips, L words, M candidate moments, E embedding width.
"""

from typing import Literal

from torch import Tensor

from models.contracts.batches import InputDims, TextFeatures
from models.layers.clip_alignment import ClipAlignment, ClipAlignmentValues
from models.layers.set_distances import WindowChamfer, compute_squared_distances


class CALChamfer(ClipAlignment):
    """CAL whose cost adds the mean distance of clips to their nearest words, and of words to their nearest clips.

    Source: Escorcia et al. 2019 (arXiv:1907.12763), the authors' class CALChamfer; words are the states of the LSTM.
    Deviations: those of `models.localizers.cal`. The vector of a sentence is the mean of its word vectors; losses on embeddings
    read it, scores do not.
    """

    def __init__(self, params: "CALChamferParams", dims: InputDims) -> None:
        """Build for features and words of these widths."""
        super().__init__(params, dims)
        self.chamfer = WindowChamfer(self.grid)

    def measure(self, clips: Tensor, mask: Tensor, text: TextFeatures) -> tuple[Tensor, Tensor]:
        """Return the Chamfer distance of every window to the words, (B, M), and the mean of the words, (B, E)."""
        words = self._place(self.sentence.embed_words(text)) * text.mask[..., None]  # (B, L, E)
        distances = self.chamfer(compute_squared_distances(clips, words), mask, text.mask)
        return distances, words.sum(1) / text.mask.sum(1, keepdim=True).clamp_min(1)


class CALChamferParams(ClipAlignmentValues):
    """Values of CAL with the Chamfer distance."""

    name: Literal["cal_chamfer"]

    def build(self, dims: InputDims) -> CALChamfer:
        """Return an untrained CAL with the Chamfer distance."""
        return CALChamfer(self, dims)
