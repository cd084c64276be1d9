"""Base of losses on ranks: their input rankings, and the differentiation of ranks.

Letters: B pairs or rows, E embedding width, M candidates, Q rankings, C items of a ranking.
"""

from abc import abstractmethod
from typing import Literal, NamedTuple

from pydantic import Field, NonNegativeFloat, PositiveFloat
from torch import Tensor
from torch.nn import functional as F

from models.layers.blackbox_rank import Ranks, compute_ranks
from models.layers.multiple_instance_nce import find_matches
from models.losses.base import LossTerm, TermParams


class Rankings(NamedTuple):
    """Items to rank by score, and the mask of relevant items, which should come first."""

    scores: Tensor  # (Q, C)
    relevant: Tensor  # (Q, C) bool
    usable: Tensor  # (Q, C) bool


class BlackboxParams(TermParams):
    """Schema of losses on ranks.

    `on="pairs"` ranks the moments of a batch for each query by cosine; matching moments are relevant.
    `on="candidates"` ranks the candidates of each row by score; candidates with IoU >= `min_iou` are relevant.
    """

    on: Literal["pairs", "candidates"] = "pairs"
    interpolation: PositiveFloat = 4.0  # step along the gradient at which the change of ranks is measured
    margin: NonNegativeFloat = 0.02  # lead that relevant items must have
    min_iou: float = Field(default=0.5, gt=0, le=1)  # of a relevant candidate


class BlackboxTerm(LossTerm):
    """Loss on the ranks of relevant items, averaged over the items of a ranking, then over rankings with relevant items."""

    def __init__(self, params: BlackboxParams) -> None:
        """Store the values and choose the inputs."""
        super().__init__()
        self.params = params
        on_pairs = params.on == "pairs"
        self.inputs = ("moments", "queries", "false_negatives") if on_pairs else ("scores", "iou", "valid")

    @abstractmethod
    def score_ranks(self, ranks: Ranks) -> Tensor:
        """Return the loss of each item, (Q, C), as if it were relevant."""

    def forward(self, first: Tensor, second: Tensor, mask: Tensor) -> Tensor:
        """Return a scalar; 0 without relevant items.

        Inputs are moments and queries (B, E) with the further matching pairs (B, B), or scores, IoU and validity, each (B, M).
        """
        rank = self.rank_pairs if self.params.on == "pairs" else self.rank_candidates
        return self.compute(rank(first, second, mask))

    def rank_pairs(self, moments: Tensor, queries: Tensor, false_negatives: Tensor) -> Rankings:
        """Return a ranking of the moments for each query."""
        scores = F.normalize(queries, dim=-1) @ F.normalize(moments, dim=-1).T
        matches = find_matches(false_negatives).T
        return Rankings(scores, matches, matches.new_ones(matches.shape))

    def rank_candidates(self, scores: Tensor, iou: Tensor, valid: Tensor) -> Rankings:
        """Return a ranking of the candidates of each row."""
        return Rankings(scores, valid & (iou >= self.params.min_iou), valid)

    def compute(self, rankings: Rankings) -> Tensor:
        """Return the loss of rankings of any shape (Q, C)."""
        ranks = compute_ranks(*rankings, interpolation=self.params.interpolation, margin=self.params.margin)
        counts = rankings.relevant.sum(1)
        losses = (self.score_ranks(ranks) * rankings.relevant).sum(1) / counts.clamp_min(1)  # (Q,)
        return losses.sum() / (counts > 0).sum().clamp_min(1)
