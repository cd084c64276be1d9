"""Text-only floor: predicts moments from the words of a query alone, without the video.

Letters: B rows, L words, D width, M = N (N + 1) / 2 spans.
"""

from typing import Literal

from pydantic import PositiveInt
from torch import nn

from models.contracts.batches import Candidates, InputDims, TextFeatures, VideoFeatures
from models.contracts.roles import Localizer, LocalizerParams
from models.layers.dense_grid import DenseGrid
from models.layers.sentence_lstm import SentenceLSTM


class TextOnly(Localizer):
    """Scores every span of the dense grid from the sentence. Of the video, it reads only the mask and the duration.

    Source: own. A localizer that does not clearly beat it has only learned the biases of the annotations.
    """

    def __init__(self, params: "TextOnlyParams", dims: InputDims) -> None:
        """Build for words of this width."""
        super().__init__()
        self.streams = params.streams
        self.num_cells = params.num_cells
        self.grid = DenseGrid(params.num_cells)
        self.text_lstm = SentenceLSTM(dims.text_dim, hidden_dim=params.hidden_dim, num_layers=params.lstm_layers)
        self.dropout = nn.Dropout(params.dropout)
        self.predict = nn.Linear(params.hidden_dim, len(self.grid))

    def forward(self, video: VideoFeatures, text: TextFeatures) -> Candidates:
        """Return all spans of the grid."""
        scores = self.predict(self.dropout(self.text_lstm(text)))  # (B, M)
        spans = self.grid.compute_spans(video.mask, video.duration_s)
        return Candidates(spans, scores, self.grid.find_valid(video.mask))


class TextOnlyParams(LocalizerParams):
    """Values of the text-only floor."""

    name: Literal["text_only"]
    streams: tuple[()] = ()
    num_cells: PositiveInt = 32
    hidden_dim: PositiveInt = 128
    lstm_layers: PositiveInt = 1
    dropout: float = 0.3

    def build(self, dims: InputDims) -> TextOnly:
        """Return an untrained floor."""
        return TextOnly(self, dims)
