"""Recall loss by blackbox differentiation of ranks.

Letters: Q rankings, C items of a ranking.
"""

from typing import Literal

import torch
from torch import Tensor

from models.contracts.batches import LossDims
from models.layers.blackbox_rank import Ranks
from models.losses.blackbox import BlackboxParams, BlackboxTerm


class BlackboxRecallLoss(BlackboxTerm):
    """Mean over relevant items of w(r), r the number of irrelevant items ranked before it; w(r) = log(1 + log(1 + r)).

    With `weighting="log"`, w(r) = log(1 + r).
    Source: Rolinek et al. 2020 (arXiv:1912.03500), section 3. Deviations: no memory of earlier batches; correct for rankings
    that are not square, for which the authors' code multiplies by the number of rankings instead of their length.
    """

    def __init__(self, params: "BlackboxRecallParams") -> None:
        """Store the values."""
        super().__init__(params)
        self.weighting = params.weighting

    def score_ranks(self, ranks: Ranks) -> Tensor:
        """Return w(r) of each item, (Q, C)."""
        weights = torch.log1p((ranks.among_all - ranks.among_relevant).clamp_min(0))
        return torch.log1p(weights) if self.weighting == "log_log" else weights


class BlackboxRecallParams(BlackboxParams):
    """Values of the recall loss."""

    name: Literal["blackbox_recall"]
    weighting: Literal["log_log", "log"] = "log_log"

    def build(self, dims: LossDims) -> BlackboxRecallLoss:
        """Return the loss."""
        return BlackboxRecallLoss(self)
