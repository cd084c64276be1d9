"""A localizer without an opinion: a search with it is the work of the retriever alone."""

import torch

from models.exchange.batches import Candidates, TextFeatures, VideoFeatures
from models.exchange.roles import Localizer
from models.layers.dense_grid import DenseGrid


class GridLocalizer(Localizer):
    """Gives every span of a dense grid of N cells the score 0."""

    def __init__(self, num_cells: int) -> None:
        """Build the grid."""
        super().__init__()
        self.num_cells = num_cells
        self.grid = DenseGrid(num_cells)

    def forward(self, video: VideoFeatures, text: TextFeatures) -> Candidates:
        """Return all spans of the grid, whatever is asked."""
        spans = self.grid.compute_spans(video.mask, video.duration_s)
        return Candidates(spans, torch.zeros(spans.shape[:2]), self.grid.find_valid(video.mask))
