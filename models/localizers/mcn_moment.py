"""MCN: embeds sentences, and moments with their video and position in time, in one space.

Letters: B rows, N clips, P places, M candidate moments, D width of a clip, H hidden width, E embedding width.
"""

from typing import Literal

from pydantic import Field, PositiveInt
from torch import Tensor, nn
from torch.nn import functional as F

from models.contracts.batches import Candidates, InputDims, TextFeatures, VideoFeatures
from models.contracts.roles import Localizer, LocalizerParams
from models.layers.clip_alignment import SentenceEmbedding
from models.layers.streams import join_dims, join_streams
from models.layers.window_grid import WindowGrid


class MomentContextNetwork(Localizer):
    """Negative squared distance between MLP([moment; whole video; endpoints]) and the last LSTM state of the sentence.

    Source: Hendricks et al., ICCV 2017 (arXiv:1708.01641), section 3, and the code of arXiv:1907.12763. The first layer has
    three parts: for the mean clip of the moment, for the mean clip of the video, and for the temporal endpoint feature
    (start / duration, end / duration). Together they are one linear layer over the concatenation.
    Deviations: streams are joined before the first layer; candidates are all spans of the dense grid; weights start as torch's
    layers do. A linear layer and a mean commute, so the first layer comes before the mean over clips. If an encoder keeps P
    places, the maximum over places lies between the two.
    """

    def __init__(self, params: "MCNMomentParams", dims: InputDims) -> None:
        """Build for features and words of these widths."""
        super().__init__()
        feature_dim = join_dims(dims, params.streams).dim
        self.streams = params.streams
        self.num_cells = params.num_cells
        self.embedding_dim = params.embedding_dim
        self.moment_linear = nn.Linear(feature_dim, params.hidden_dim)
        self.video_linear = nn.Linear(feature_dim, params.hidden_dim, bias=False)
        self.ends_linear = nn.Linear(2, params.hidden_dim, bias=False)
        self.second = nn.Linear(params.hidden_dim, params.embedding_dim)
        self.dropout = nn.Dropout(params.dropout)
        self.sentence = SentenceEmbedding(dims.text_dim, hidden_dim=params.text_hidden_dim, embedding_dim=params.embedding_dim)
        self.grid = WindowGrid(params.num_cells)

    def forward(self, video: VideoFeatures, text: TextFeatures) -> Candidates:
        """Return all N (N + 1) / 2 spans of the dense grid; scores are negative squared distances."""
        spans = self.grid.compute_spans(video.mask, video.duration_s)  # (B, M, 2)
        moments = self.embed_moments(video, compute_ends(spans, video.duration_s))  # (B, M, E)
        sentence = self.sentence(text)  # (B, E)
        scores = -(moments - sentence[:, None]).square().sum(-1)
        return Candidates(spans, scores, self.grid.find_valid(video.mask), features=moments, query=sentence)

    def embed_moments(self, video: VideoFeatures, ends: Tensor) -> Tensor:
        """Return the vectors of all spans, (B, M, E); `ends` (B, M, 2) are their temporal endpoint features."""
        features = join_streams(video.streams, self.streams)  # (B, N, P, D)
        mask = video.mask[..., None].to(features.dtype)  # (B, N, 1)
        clips = self.moment_linear(features).max(dim=2).values  # (B, N, H)
        context = (self.video_linear(features).max(dim=2).values * mask).sum(1) / mask.sum(1).clamp_min(1)  # (B, H)
        hidden = F.relu(self.grid.average(clips, video.mask) + context[:, None] + self.ends_linear(ends))  # (B, M, H)
        moments: Tensor = self.dropout(self.second(hidden))
        return moments


def compute_ends(spans: Tensor, duration_s: Tensor) -> Tensor:
    """Return the temporal endpoint features of spans (B, M, 2): start and end as fractions of the video."""
    return spans / duration_s[:, None, None]


class MCNMomentParams(LocalizerParams):
    """Values of MCN. Defaults suit two CPU cores; the authors use widths 500, 100 and 1000."""

    name: Literal["mcn_moment"]
    num_cells: PositiveInt = 32
    hidden_dim: PositiveInt = 256
    embedding_dim: PositiveInt = 64
    text_hidden_dim: PositiveInt = 128
    dropout: float = Field(default=0.1, ge=0, lt=1)

    def build(self, dims: InputDims) -> MomentContextNetwork:
        """Return an untrained MCN."""
        return MomentContextNetwork(self, dims)
