"""Constant localizer: scores all spans equally, so that a search with it measures the retriever alone."""

import torch

from models.contracts.batches import Candidates, TextFeatures, VideoFeatures
from models.contracts.roles import Localizer
from models.layers.dense_grid import DenseGrid


class GridLocalizer(Localizer):
    """Gives every span of a dense grid of N cells the score 0."""

    def __init__(self, streams: tuple[str, ...], num_cells: int) -> None:
        """Build the grid; windows are counted in clips of the first stream, and no features are read."""
        super().__init__()
        self.streams = streams
        self.num_cells = num_cells
        self.grid = DenseGrid(num_cells)

    def forward(self, video: VideoFeatures, text: TextFeatures) -> Candidates:
        """Return all spans of the grid, for any sentence."""
        spans = self.grid.compute_spans(video.mask, video.duration_s)
        return Candidates(spans, torch.zeros(spans.shape[:2]), self.grid.find_valid(video.mask))
