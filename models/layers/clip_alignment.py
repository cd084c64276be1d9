"""Clip alignment: embeds clips and sentences in one space of squared distances, for CAL, its Chamfer form and its retriever.

Letters: B rows, N clips, P places, L words, M candidate moments, D width of a clip, E embedding width.
"""

from abc import ABC, abstractmethod
from typing import Self

from pydantic import Field, PositiveInt, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from models.contracts.batches import Candidates, InputDims, TextFeatures, VideoFeatures
from models.contracts.roles import Localizer, LocalizerParams
from models.layers.sentence_lstm import SentenceLSTM
from models.layers.streams import join_dims, join_streams
from models.layers.window_grid import WindowGrid, list_windows


class ClipEmbedding(nn.Module):
    """The visual network of MCN applied clip by clip: Linear, ReLU, Linear, dropout.

    Source: Hendricks et al., ICCV 2017 (arXiv:1708.01641), used per clip by CAL (arXiv:1907.12763). If an encoder keeps
    P places, the first layer reads every place and its ReLU receives the maximum over places.
    """

    def __init__(self, feature_dim: int, *, hidden_dim: int, embedding_dim: int, dropout: float) -> None:
        """Build the layers."""
        super().__init__()
        self.first = nn.Linear(feature_dim, hidden_dim)
        self.second = nn.Linear(hidden_dim, embedding_dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, places: Tensor) -> Tensor:
        """Embed each clip on its own: (..., P, D) -> (..., E)."""
        embedded: Tensor = self.dropout(self.second(F.relu(self.first(places).max(dim=-2).values)))
        return embedded


class SentenceEmbedding(nn.Module):
    """The states of an LSTM, projected into the space of clips: one after each word, or the last one."""

    def __init__(self, text_dim: int, *, hidden_dim: int, embedding_dim: int) -> None:
        """Build the LSTM and the projection."""
        super().__init__()
        self.lstm = SentenceLSTM(text_dim, hidden_dim=hidden_dim, num_layers=1)
        self.linear = nn.Linear(hidden_dim, embedding_dim)

    def forward(self, text: TextFeatures) -> Tensor:
        """Embed each sentence, (B, E)."""
        sentence: Tensor = self.linear(self.lstm(text))
        return sentence

    def embed_words(self, text: TextFeatures) -> Tensor:
        """Embed each word in the context of earlier words, (B, L, E); vectors after the end of a sentence are meaningless."""
        words: Tensor = self.linear(self.lstm.read_words(text))
        return words


class ClipAlignment(Localizer, ABC):
    """Scores windows of a video by the negative distance of their clips to the sentence; subclasses define the distance.

    The features of a candidate are the mean vector of its clips.
    """

    def __init__(self, params: "ClipAlignmentValues", dims: InputDims) -> None:
        """Build for features and words of these widths."""
        super().__init__()
        self.streams = params.streams
        self.num_cells = params.num_cells
        self.embedding_dim = params.embedding_dim
        self.unit_vectors = params.unit_vectors
        self.clips = ClipEmbedding(
            join_dims(dims, params.streams).dim,
            hidden_dim=params.hidden_dim,
            embedding_dim=params.embedding_dim,
            dropout=params.dropout,
        )
        self.sentence = SentenceEmbedding(dims.text_dim, hidden_dim=params.text_hidden_dim, embedding_dim=params.embedding_dim)
        self.grid = WindowGrid(params.num_cells, params.window_lengths)

    def forward(self, video: VideoFeatures, text: TextFeatures) -> Candidates:
        """Return all windows of the grid; scores are negative squared distances."""
        clips = self._place(self.clips(join_streams(video.streams, self.streams))) * video.mask[..., None]  # (B, N, E)
        distances, query = self.measure(clips, video.mask, text)
        return Candidates(
            self.grid.compute_spans(video.mask, video.duration_s),
            -distances,
            self.grid.find_valid(video.mask),
            features=self.grid.average(clips, video.mask),
            query=query,
        )

    @abstractmethod
    def measure(self, clips: Tensor, mask: Tensor, text: TextFeatures) -> tuple[Tensor, Tensor]:
        """Return the distance of every window to the sentence, (B, M), and the vector of the sentence, (B, E).

        `clips` are (B, N, E); `mask` (B, N) bool marks clips inside the video.
        """

    def _place(self, vectors: Tensor) -> Tensor:
        return F.normalize(vectors, dim=-1) if self.unit_vectors else vectors


class ClipAlignmentValues(LocalizerParams):
    """Values of CAL and its Chamfer form. Defaults suit two CPU cores; the authors use widths 500, 100 and 1000."""

    num_cells: PositiveInt = 32
    window_lengths: tuple[PositiveInt, ...] = ()  # of candidate moments, in cells; empty: every length
    hidden_dim: PositiveInt = 256
    embedding_dim: PositiveInt = 64
    text_hidden_dim: PositiveInt = 128
    unit_vectors: bool = False  # normalise clips and words to length 1, so that a squared distance is 2 - 2 cos
    dropout: float = Field(default=0.1, ge=0, lt=1)

    @model_validator(mode="after")
    def _check_windows(self) -> Self:
        list_windows(self.num_cells, self.window_lengths)
        return self
