"""2D-TAN: a map over the spans of a video, compared with the sentence and convolved over neighbouring spans.

Letters: B rows, T clips, P places of a clip, N cells, M candidate spans, L words, D input width, H hidden width.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.contracts.batches import Candidates, InputDims, TextFeatures, VideoFeatures
from models.contracts.roles import Localizer
from models.layers.candidate_map import CandidateGrid, list_candidates, plan_proposals
from models.layers.clip_pool import pool_clips
from models.layers.proposals import ConvProposals, PoolProposals
from models.layers.sentence_lstm import SentenceLSTM
from models.layers.streams import join_dims, join_streams
from models.localizers.tan2d.map_convolution.stack import MapConvolution
from models.localizers.tan2d.official import convert_weights, describe_official
from models.localizers.tan2d.values import Tan2DValues


class Tan2D(Localizer):
    """2D Temporal Adjacent Network with pooled or convolved proposals on a dense or sparse map.

    Source: Zhang et al., AAAI 2020 (arXiv:1912.03590), sections 3.1-3.3, and the authors' code, whose scores
    `official_scores` reproduces. Deviations of `forward`, which everything else uses: if an encoder keeps P places, the first
    convolution reads every place and its ReLU receives the maximum over places, so a channel responds if everything it
    looks for is at one place; clips after the end of a video are ignored; only candidates have scores, and these are not
    multiplied by the mask (see `valid`).
    """

    def __init__(self, params: Tan2DValues, dims: InputDims) -> None:
        """Build for features and words of these widths."""
        super().__init__()
        hidden_dim, scale_layers = params.hidden_dim, params.list_scale_layers()
        self.streams = params.streams
        self.num_cells = params.num_cells
        self.embedding_dim = hidden_dim
        self.clips_per_cell = params.clips_per_cell
        self.grid = CandidateGrid(params.num_cells // params.clips_per_cell, scale_layers, clips_per_cell=params.clips_per_cell)
        self.clip_conv = nn.Linear(join_dims(dims, params.streams).dim, hidden_dim)
        pooled = params.proposals == "pool"
        self.proposals = PoolProposals(scale_layers) if pooled else ConvProposals(scale_layers, hidden_dim)
        self.text_lstm = SentenceLSTM(dims.text_dim, hidden_dim=hidden_dim, num_layers=params.lstm_layers)
        self.text_linear = nn.Linear(hidden_dim, hidden_dim)
        self.map_linear = nn.Linear(hidden_dim, hidden_dim)
        self.map_conv = MapConvolution(
            hidden_dim,
            kernel_size=params.kernel_size,
            num_layers=params.num_layers,
            scale_layers=scale_layers,
            speed=params.map_convolution,
        )
        self.predict = nn.Linear(hidden_dim, 1)
        self.neck = params.neck.build(hidden_dim)

    @classmethod
    def from_official(cls, state_dict: Mapping[str, Tensor], config: str) -> "Tan2D":
        """Return the model of a published checkpoint, in evaluation mode and in the dtype of its weights.

        `config` is one of `models.localizers.tan2d.official.OFFICIAL`: charades_pool, charades_conv, activitynet_pool, ...

        Raises:
            ValueError: naming an unknown config, or every parameter that is missing, unknown or of another shape.
        """
        model = build_official(config)
        weights = convert_weights(state_dict, model.state_dict(), config)
        model.to(next(iter(weights.values())).dtype).load_state_dict(weights)
        return model.eval()

    def forward(self, video: VideoFeatures, text: TextFeatures) -> Candidates:
        """Return all candidates of the map, with the vectors of map cells as features."""
        features = join_streams(video.streams, self.streams)  # (B, T, P, D)
        if features.shape[1] != self.num_cells:
            raise ValueError(f"this 2D-TAN reads {self.num_cells} clips per video, got {features.shape[1]}; resample them")
        valid = self.grid.find_valid(video.mask)  # (B, M)
        sentence = self.text_linear(self.text_lstm(text))  # (B, H)
        convolved = self._convolve(self._pool_clips(features, video.mask), sentence, valid)  # (B, M, H)
        scores = self.predict(convolved)[..., 0]  # (B, M)
        spans = self.grid.compute_spans(video.mask, video.duration_s)
        return Candidates(spans, scores, valid, features=convolved, query=sentence)

    def official_scores(self, word_vectors: Tensor, word_mask: Tensor, clip_features: Tensor) -> Tensor:
        """Return the score map (B, 1, N, N) of the authors' model, zero outside candidates.

        `word_vectors` (B, L, D) are padded at the end, `word_mask` (B, L, 1) is 1 at words, `clip_features` (B, T, D) are
        normalised and resampled. N is T // clips_per_cell, which may differ from the N of training.

        Raises:
            ValueError: when the mask does not fit the words, or the layers do not fit a map of that size.
        """
        if word_mask.shape != (*word_vectors.shape[:2], 1):
            raise ValueError(
                f"official_scores needs a mask (B, L, 1) of words (B, L, D), got "
                f"{(*word_mask.shape,)} and {(*word_vectors.shape,)}"
            )
        num_cells = clip_features.shape[1] // self.clips_per_cell
        plan_proposals(num_cells, self.map_conv.scale_layers)
        clips = clip_features[:, : num_cells * self.clips_per_cell, None]  # (B, N * clips_per_cell, 1, D)
        text = TextFeatures(word_vectors, word_mask[..., 0], word_vectors)
        cells, _ = list_candidates(num_cells, self.map_conv.scale_layers)
        valid = torch.ones(len(clips), len(cells), dtype=torch.bool, device=clips.device)
        inside = torch.ones_like(clips[:, :, 0, 0], dtype=torch.bool)
        found = self._convolve(self._pool_clips(clips, inside), self.text_linear(self.text_lstm(text)), valid)
        scores = found.new_zeros(len(clips), 1, num_cells, num_cells)
        scores[:, 0, cells[:, 0], cells[:, 1]] = self.predict(found)[..., 0]
        return scores

    def _pool_clips(self, features: Tensor, mask: Tensor) -> Tensor:
        """Return the features of cells: clips (B, T, P, D) and the mask of clips inside (B, T) -> (B, H, N)."""
        cells = pool_clips(self.clip_conv(features), mask, self.clips_per_cell)
        if self.neck is None:
            return cells
        inside = mask.reshape(mask.shape[0], -1, self.clips_per_cell).any(-1)  # (B, N)
        joined: Tensor = self.neck(cells.transpose(1, 2), inside)
        return joined.transpose(1, 2)

    def _convolve(self, cells: Tensor, sentence: Tensor, valid: Tensor) -> Tensor:
        """Return the features of candidates (B, M, H): cells (B, H, N) compared with the sentence (B, H) and convolved."""
        fused = F.normalize(sentence[:, None] * self.map_linear(self.proposals(cells)), dim=-1)  # (B, M, H)
        convolved: Tensor = self.map_conv(fused * valid[..., None], valid, cells.shape[-1])
        return convolved


def build_official(config: str) -> Tan2D:
    """Return the untrained model of one of the authors' configurations, without touching the global random state.

    Raises:
        ValueError: when the configuration is unknown, listing the known ones.
    """
    dims, values = describe_official(config)
    with torch.random.fork_rng(devices=[]):
        return Tan2D(Tan2DValues.model_validate(values), dims)
